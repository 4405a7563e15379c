//! Tasks and their handles.

pub(crate) mod a_task_gives_its_result_and_outlives_its_handle_but_not_its_guard {
    use std::future::pending;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use wire::net::{Network, TaskEnded};

    use crate::contract::pairs::meeting::Meeting;

    pub(crate) async fn serve<N: Network>(_net: N, _meeting: Meeting) {}

    pub(crate) async fn call<N: Network>(net: N, _meeting: Meeting) {
        assert_eq!(net.spawn("result", async { 7 }).await, Ok(7));
        assert_eq!(net.spawn_on(net.shards() + 5, "shard", async { 8 }).await, Ok(8), "any shard number will do");

        let aborted = net.spawn("aborted", pending::<()>());
        aborted.abort();
        aborted.abort();
        assert_eq!(aborted.await, Err(TaskEnded));

        let (done, is_done) = oneshot::channel();
        drop(net.spawn("without a handle", async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let _ = done.send(9);
        }));
        assert_eq!(is_done.await, Ok(9), "a task outlives its handle");

        let (held, is_held) = oneshot::channel::<()>();
        drop(
            net.spawn("guarded", async move {
                pending::<()>().await;
                drop(held);
            })
            .guard(),
        );
        is_held.await.expect_err("a guard ends its task, and what the task held goes with it");
    }
}
