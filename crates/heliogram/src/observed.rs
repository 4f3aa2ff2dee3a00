//! What an operator sees of a process beside its log: what its listeners count, and its traces.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use heliogram_grpc::{Server, ServerCounts, TraceExporter, TracedProcess};
use heliogram_ports::Backend;
use heliogram_ports::metrics::Measured;
use heliogram_ports::trace::{SpanSide, TracedBackend, Tracer};

use crate::config::Config;

/// What is seen of a process. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    counts: Arc<ServerCounts>,
    traces: Option<Traces>,
}

#[derive(Clone, Debug)]
struct Traces {
    exporter: Arc<TraceExporter>,
    tracer: Tracer,
}

impl Observed {
    /// Begins to look at a process of this kind. Within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the collector of traces has no address that can be one.
    pub(crate) fn start(config: &Config, service: &'static str) -> anyhow::Result<Self> {
        let node = config.cluster.node.as_deref();
        let start = |endpoint: &String| {
            let process = TracedProcess {
                service,
                instance: node.map_or_else(|| std::process::id().to_string(), str::to_owned),
            };
            let exporter = TraceExporter::start(endpoint, process).context("key `traces.endpoint`");
            let exporter = Arc::new(exporter?);
            let spans = Arc::<TraceExporter>::clone(&exporter);
            let tracer = Tracer::new(spans, config.traces.sample);
            anyhow::Ok(Traces { exporter, tracer })
        };
        Ok(Self {
            counts: Arc::default(),
            traces: config.traces.endpoint.as_ref().map(start).transpose()?,
        })
    }

    /// Makes a gRPC server whose numbers are seen.
    pub(crate) fn server(&self) -> Server {
        Server::counted(Arc::clone(&self.counts))
    }

    /// Returns what makes spans, if anybody wants them.
    pub(crate) fn tracer(&self) -> Option<Tracer> {
        self.traces.as_ref().map(|it| it.tracer.clone())
    }

    /// Has a backend's traced calls seen: as answers of this process, or as its questions to another.
    pub(crate) fn backend(&self, backend: Arc<dyn Backend>, side: SpanSide) -> Arc<dyn Backend> {
        match self.tracer() {
            Some(tracer) => Arc::new(TracedBackend::new(backend, tracer, side)),
            None => backend,
        }
    }

    /// Returns who has numbers.
    pub(crate) fn measured(&self) -> Vec<Arc<dyn Measured>> {
        let mut measured: Vec<Arc<dyn Measured>> = vec![Arc::<ServerCounts>::clone(&self.counts)];
        if let Some(Traces { exporter, .. }) = &self.traces {
            measured.push(Arc::<TraceExporter>::clone(exporter));
        }
        measured
    }

    /// Sends what was traced, before the process ends; not for long.
    pub(crate) async fn flush(&self) {
        if let Some(Traces { exporter, .. }) = &self.traces {
            // Traces are worth no more than this.
            let _ = tokio::time::timeout(FLUSH_MAX, exporter.flush()).await;
        }
    }
}

/// How long the end of a process waits for its traces.
const FLUSH_MAX: Duration = Duration::from_secs(2);
