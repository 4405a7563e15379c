//! The contract once more, as pairs of programs that run on hosts of their own: so that turmoil, where a future belongs to one host, can run it
//! too. Against kernel sockets on the loopback, our simulator, and turmoil.

mod closing;
mod flow;
pub(crate) mod meeting;
mod opening;
mod tasks;
mod worlds;

/// The two programs of a probe, for any network.
macro_rules! programs {
    ($place:ident $name:ident) => {
        super::worlds::Programs {
            serve: |net, meeting| Box::pin(super::$place::$name::serve(net, meeting)),
            call: |net, meeting| Box::pin(super::$place::$name::call(net, meeting)),
        }
    };
}

/// Makes one test a world of each probe, in modules named after the worlds. A text in place of the last `yes` says why turmoil cannot have it.
macro_rules! probes {
    ($($place:ident :: $name:ident: kernel yes, sim yes, turmoil $turmoil:tt;)+) => {
        mod kernel {
            $(#[test] fn $name() { super::worlds::kernel(programs!($place $name)); })+
        }
        mod simulated {
            $(#[test] fn $name() { super::worlds::simulated(programs!($place $name)); })+
        }
        mod under_turmoil {
            $(#[test] fn $name() { probes!(@turmoil $place $name $turmoil); })+
        }
    };
    (@turmoil $place:ident $name:ident yes) => {
        super::worlds::under_turmoil(programs!($place $name));
    };
    (@turmoil $place:ident $name:ident $why:literal) => {
        println!("{}: not expressible under turmoil: {}", stringify!($name), $why);
    };
}

probes! {
    opening::a_connect_where_nobody_listens_is_refused: kernel yes, sim yes, turmoil yes;
    opening::accept_tells_the_address_of_the_peer: kernel yes, sim yes, turmoil yes;
    opening::many_connections_open_at_once: kernel yes, sim yes, turmoil yes;
    opening::an_abandoned_connect_does_no_harm: kernel yes, sim yes, turmoil yes;
    opening::a_port_can_be_bound_again_after_its_listener_has_gone: kernel yes, sim yes, turmoil yes;
    opening::a_port_cannot_be_bound_twice: kernel yes, sim yes, turmoil yes;
    opening::names_resolve_or_fail_without_hanging: kernel yes, sim yes, turmoil yes;
    flow::a_mebibyte_comes_back_unchanged: kernel yes, sim yes, turmoil yes;
    flow::a_writer_waits_for_a_reader_and_goes_on_when_it_reads_in_small_pieces: kernel yes, sim yes,
        turmoil "its buffers count writes, not bytes";
    flow::a_vectored_write_arrives_whole_and_in_order: kernel yes, sim yes, turmoil yes;
    flow::writes_and_reads_of_nothing_do_nothing: kernel yes, sim yes, turmoil yes;
    closing::after_a_half_close_the_other_half_goes_on: kernel yes, sim yes, turmoil yes;
    closing::the_end_comes_after_all_bytes: kernel yes, sim yes, turmoil yes;
    closing::dropping_a_stream_with_unread_bytes_resets_it: kernel yes, sim yes, turmoil yes;
    closing::bytes_that_arrived_are_readable_before_a_reset: kernel yes, sim yes, turmoil yes;
    closing::writing_to_a_peer_that_has_closed_soon_fails: kernel yes, sim yes, turmoil yes;
    closing::an_abort_resets_the_peer: kernel yes, sim yes,
        turmoil "it has no reset on demand, only where bytes were left unread";
    tasks::a_task_gives_its_result_and_outlives_its_handle_but_not_its_guard: kernel yes, sim yes, turmoil yes;
}
