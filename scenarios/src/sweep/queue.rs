//! The sweep's streams and store on a NATS server. Every name begins with that of the sweep, so that several share a server.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, PullConsumer};
use async_nats::jetstream::context::{ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, RetentionPolicy, Stream};
use async_nats::jetstream::{self, AckKind, Context, ErrorCode, Message};
use futures_util::StreamExt as _;
use tokio::io::AsyncReadExt as _;

use super::{Done, Manifest, PACK_BYTES_MAX};

/// What is left of a sweep that nobody ended goes away after this long.
const AGE_MAX: Duration = Duration::from_secs(7 * 86_400);
/// How long the server remembers which parts have a result.
const DUPLICATES: Duration = Duration::from_secs(86_400);
/// How long to wait for the server's answer.
const ANSWER: Duration = Duration::from_secs(10);
/// All workers take from one consumer.
const WORKERS: &str = "workers";

/// Why the server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// No server there, or not let in.
    #[error("failed to reach a NATS server at {url}: {why}; is it running, and with JetStream (`nats-server -js`)?")]
    Unreachable {
        /// Where, without a password.
        url: String,
        /// What the client said.
        why: String,
    },
    /// It is there, and something failed.
    #[error("failed to {what}: {why}")]
    Failed {
        /// What was being done.
        what: &'static str,
        /// What the client said.
        why: String,
    },
    /// A sweep of this name is under way that is of something else.
    #[error(
        "a sweep named {0} is under way with other arguments or another program: take another name, or end that one (`sweep remove`)"
    )]
    Other(String),
    /// There is none.
    #[error("there is no sweep named {0} on this server")]
    Absent(String),
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> QueueError {
    move |error| QueueError::Failed { what, why: error.to_string() }
}

/// A sweep on a server.
#[derive(Clone)]
pub struct Queue {
    context: Context,
    name: String,
}

/// A part that this worker has for now. Dropped without a word, it goes to another when its time is up.
pub struct Lease {
    message: Message,
    /// Which, from 1.
    pub part: u32,
    /// How often it was handed out, this time included.
    pub tries: u32,
}

impl Queue {
    /// Connects. `url` may hold a user and a password, or a token.
    ///
    /// # Errors
    /// [`QueueError::Unreachable`].
    pub async fn connect(url: &str, name: &str) -> Result<Self, QueueError> {
        let shown = url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, host)| host.to_owned());
        let connected = tokio::time::timeout(ANSWER, async_nats::ConnectOptions::new().connect(url)).await;
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(QueueError::Unreachable { url: shown, why: error.to_string() }),
            Err(_) => return Err(QueueError::Unreachable { url: shown, why: "no answer".to_owned() }),
        };
        let mut context = jetstream::new(client);
        context.set_timeout(ANSWER);
        Ok(Self { context, name: name.to_owned() })
    }

    fn plan(&self) -> String {
        format!("windtunnel-{}-plan", self.name)
    }

    fn work(&self) -> String {
        format!("windtunnel-{}-work", self.name)
    }

    fn done(&self) -> String {
        format!("windtunnel-{}-done", self.name)
    }

    fn bucket(&self) -> String {
        format!("windtunnel-{}", self.name)
    }

    fn subject(&self, of: &str) -> String {
        format!("windtunnel.{}.{of}", self.name)
    }

    /// A stream of the sweep. Only the server's word that there is none means that the sweep is not there: a server that is lost says nothing.
    async fn stream(&self, name: String) -> Result<Stream, QueueError> {
        self.context.get_stream(name).await.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(said) if said.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                QueueError::Absent(self.name.clone())
            }
            _ => failed("find the sweep")(error),
        })
    }

    async fn store(&self) -> Result<ObjectStore, QueueError> {
        // The stream below a store has this name.
        self.stream(format!("OBJ_{}", self.bucket())).await?;
        self.context.get_object_store(self.bucket()).await.map_err(failed("open the sweep's store"))
    }

    /// What the sweep is of. None where there is no such sweep, or not yet.
    ///
    /// # Errors
    /// [`QueueError::Failed`] where the server fails, or what is there cannot be read.
    pub async fn manifest(&self) -> Result<Option<Manifest>, QueueError> {
        let stream = match self.stream(self.plan()).await {
            Ok(stream) => stream,
            Err(QueueError::Absent(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let message = match stream.get_last_raw_message_by_subject(&self.subject("manifest")).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            // It may be taken away while it is read.
            Err(error) => match self.stream(self.plan()).await {
                Err(QueueError::Absent(_)) => return Ok(None),
                _ => return Err(failed("read the sweep's manifest")(error)),
            },
        };
        serde_json::from_slice(&message.payload).map(Some).map_err(failed("understand the sweep's manifest"))
    }

    /// Begins the sweep, or goes on with the one of this name if it is of the same; each part is published once.
    ///
    /// # Errors
    /// [`QueueError::Other`], or the server's.
    pub async fn begin(&self, manifest: &Manifest) -> Result<(), QueueError> {
        match self.manifest().await? {
            Some(other) if other != *manifest => return Err(QueueError::Other(self.name.clone())),
            Some(_) => {}
            None => {
                let config = Config {
                    name: self.plan(),
                    subjects: vec![self.subject("manifest")],
                    max_age: AGE_MAX,
                    ..Config::default()
                };
                self.context.get_or_create_stream(config).await.map_err(failed("make the sweep's stream"))?;
                let text = serde_json::to_vec(manifest).map_err(failed("write the manifest"))?;
                // Of two that begin at once one is refused here.
                let message = PublishMessage::build().payload(text.into()).expected_last_sequence(0);
                let publish = self.context.send_publish(self.subject("manifest"), message);
                let publish = publish.await.map_err(failed("store the manifest"))?;
                publish.await.map_err(failed("store the manifest"))?;
            }
        }
        // Its stream is there if an earlier start came so far.
        if let Err(QueueError::Absent(_)) = self.store().await {
            let config =
                object_store::Config { bucket: self.bucket(), max_age: AGE_MAX, ..object_store::Config::default() };
            self.context.create_object_store(config).await.map_err(failed("make the sweep's store"))?;
        }
        let config = Config {
            name: self.done(),
            subjects: vec![self.subject("done")],
            max_age: AGE_MAX,
            duplicate_window: DUPLICATES,
            ..Config::default()
        };
        self.context.get_or_create_stream(config).await.map_err(failed("make the stream of results"))?;
        let config = Config {
            name: self.work(),
            subjects: vec![self.subject("work")],
            retention: RetentionPolicy::WorkQueue,
            max_age: AGE_MAX,
            ..Config::default()
        };
        let stream = self.context.get_or_create_stream(config).await.map_err(failed("make the work queue"))?;
        let consumer = consumer::pull::Config {
            durable_name: Some(WORKERS.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: manifest.lease(),
            max_ack_pending: i64::from(manifest.parts).max(1),
            ..consumer::pull::Config::default()
        };
        stream.get_or_create_consumer(WORKERS, consumer).await.map_err(failed("make the workers' consumer"))?;
        // The sequence is the part: one that another has published already is refused.
        let published = stream.get_info().await.map_err(failed("look at the work queue"))?.state.last_sequence;
        for part in published + 1..=u64::from(manifest.parts) {
            let message =
                PublishMessage::build().payload(part.to_string().into_bytes().into()).expected_last_sequence(part - 1);
            let publish = self.context.send_publish(self.subject("work"), message);
            publish.await.map_err(failed("publish a part"))?.await.map_err(failed("publish a part"))?;
        }
        Ok(())
    }

    async fn workers(&self) -> Result<PullConsumer, QueueError> {
        let stream = self.stream(self.work()).await?;
        match stream.consumer_info(WORKERS).await.map_err(|error| (error.kind(), error)) {
            Ok(_) => stream.get_consumer(WORKERS).await.map_err(failed("find the workers' consumer")),
            Err((ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound, _)) => {
                Err(QueueError::Absent(self.name.clone()))
            }
            Err((_, error)) => Err(failed("find the workers' consumer")(error)),
        }
    }

    /// A part, if there is one within `wait`.
    ///
    /// # Errors
    /// [`QueueError::Absent`] where the sweep is over and gone, or the server's.
    pub async fn take(&self, wait: Duration) -> Result<Option<Lease>, QueueError> {
        let consumer = self.workers().await?;
        let batch = consumer.fetch().max_messages(1).expires(wait).messages().await;
        let mut batch = batch.map_err(failed("ask for a part"))?;
        let Some(message) = batch.next().await else { return Ok(None) };
        let message = match message {
            Ok(message) => message,
            // The sweep may have been taken away meanwhile, which ends the question, too.
            Err(error) => {
                self.workers().await?;
                return Err(failed("take a part")(error));
            }
        };
        let tries = message.info().map_err(failed("read a part"))?.delivered;
        let part = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
        let part = part.ok_or_else(|| QueueError::Failed { what: "read a part", why: "it is no number".to_owned() })?;
        Ok(Some(Lease { message, part, tries: u32::try_from(tries).unwrap_or(u32::MAX) }))
    }

    /// Stores a part's packed folder under a name that no other has, and gives the name.
    ///
    /// # Errors
    /// [`QueueError::Absent`] where the sweep is gone meanwhile, or the server's.
    pub async fn put(&self, part: u32, blob: &[u8]) -> Result<String, QueueError> {
        let name = format!("part-{part}-{}", self.context.client().new_inbox().rsplit('.').next().unwrap_or_default());
        let store = self.store().await?;
        match store.put(name.as_str(), &mut &*blob).await {
            Ok(_) => Ok(name),
            Err(error) => {
                self.store().await?;
                Err(failed("store a part's folder")(error))
            }
        }
    }

    /// A packed folder.
    ///
    /// # Errors
    /// The server's, or one that is too large.
    pub async fn get(&self, name: &str) -> Result<Vec<u8>, QueueError> {
        let store = self.store().await?;
        let mut object = store.get(name).await.map_err(failed("get a part's folder"))?;
        if object.info().size as u64 > PACK_BYTES_MAX {
            return Err(QueueError::Failed { what: "get a part's folder", why: "it is too large".to_owned() });
        }
        let mut blob = Vec::new();
        // Ends in an error where the digest is not that of what was stored.
        object.read_to_end(&mut blob).await.map_err(failed("read a part's folder"))?;
        Ok(blob)
    }

    /// Says what became of a part; whether it is the first result of that part.
    ///
    /// # Errors
    /// [`QueueError::Absent`] where the sweep is gone meanwhile, or the server's.
    pub async fn report(&self, done: &Done) -> Result<bool, QueueError> {
        let text = serde_json::to_vec(done).map_err(failed("write a result"))?;
        let message = PublishMessage::build().payload(text.into()).message_id(format!("part-{}", done.part));
        let sent = self.context.send_publish(self.subject("done"), message).await.map_err(failed("report a part"))?;
        match sent.await {
            Ok(answer) => Ok(!answer.duplicate),
            Err(error) => {
                self.stream(self.done()).await?;
                Err(failed("report a part")(error))
            }
        }
    }

    /// How many parts have a result.
    ///
    /// # Errors
    /// [`QueueError::Absent`] where the sweep is over and gone.
    pub async fn results(&self) -> Result<u64, QueueError> {
        let stream = self.stream(self.done()).await?;
        Ok(stream.get_info().await.map_err(failed("look at the results"))?.state.messages)
    }

    /// Calls `each` with every result, from the first on, until it says that it has enough (`Ok(true)`) or none came for `patience` (then `Ok(false)`).
    ///
    /// # Errors
    /// The server's, or that of `each`.
    pub async fn follow<E: From<QueueError>>(
        &self,
        patience: Duration,
        mut each: impl AsyncFnMut(Done) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let stream = self.stream(self.done()).await?;
        let consumer = stream.create_consumer(consumer::pull::OrderedConfig::default()).await;
        let consumer = consumer.map_err(failed("follow the results"))?;
        let mut messages = consumer.messages().await.map_err(failed("follow the results"))?;
        loop {
            let Ok(next) = tokio::time::timeout(patience, messages.next()).await else { return Ok(false) };
            let Some(message) = next else { return Ok(false) };
            let message = message.map_err(failed("read a result"))?;
            let done = serde_json::from_slice(&message.payload).map_err(failed("understand a result"))?;
            if each(done).await? {
                return Ok(true);
            }
        }
    }

    /// Takes all of the sweep off the server.
    ///
    /// # Errors
    /// [`QueueError::Absent`] where there is none, or the server's.
    pub async fn remove(&self) -> Result<(), QueueError> {
        let absent = |_| QueueError::Absent(self.name.clone());
        // The work first: without it no worker begins anything more.
        let work = self.context.delete_stream(self.work()).await.map(|_| ()).map_err(|_| ());
        let done = self.context.delete_stream(self.done()).await.map(|_| ()).map_err(|_| ());
        let store = self.context.delete_object_store(self.bucket()).await.map_err(|_| ());
        // What says that there is a sweep goes last, as it came first.
        let plan = self.context.delete_stream(self.plan()).await.map(|_| ()).map_err(|_| ());
        work.or(done).or(store).or(plan).map_err(absent)
    }
}

impl Lease {
    /// Says that the work goes on: the time begins anew.
    ///
    /// # Errors
    /// The server's.
    pub async fn extend(&self) -> Result<(), QueueError> {
        self.message.ack_with(AckKind::Progress).await.map_err(failed("keep a part"))
    }

    /// The part has its result, and the server knows that.
    ///
    /// # Errors
    /// The server's: the part may come again then.
    pub async fn finish(self) -> Result<(), QueueError> {
        self.message.double_ack().await.map_err(failed("finish a part"))
    }

    /// Gives the part back, for another to take after `delay`.
    ///
    /// # Errors
    /// The server's: then it comes back when its time is up.
    pub async fn give_back(self, delay: Duration) -> Result<(), QueueError> {
        self.message.ack_with(AckKind::Nak(Some(delay))).await.map_err(failed("give a part back"))?;
        // Whoever gives it back may end with that.
        self.message.context.client().flush().await.map_err(failed("give a part back"))
    }
}
