//! Numbers in the text form of OpenMetrics.

use std::fmt;
use std::sync::Arc;

use heliogram_ports::metrics::{Measured, Meter, Metric, Times};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The media type of [`render`]'s text.
pub(crate) const MEDIA_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores";

/// Asks everybody for their numbers. Each name begins with `heliogram_`.
pub(crate) fn render(measured: &[Arc<dyn Measured>]) -> String {
    let mut registry = Registry::with_prefix("heliogram");
    registry.register_collector(Box::new(All(measured.to_vec())));
    let mut text = String::new();
    if text::encode(&mut text, &registry).is_err() {
        // Only a String's writer can fail, and it does not.
        tracing::error!("the numbers can't be written");
    }
    text
}

struct All(Vec<Arc<dyn Measured>>);

impl fmt::Debug for All {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "All({})", self.0.len())
    }
}

impl Collector for All {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page {
            encoder,
            outcome: Ok(()),
        };
        for measured in &self.0 {
            measured.measure(&mut page);
        }
        page.outcome
    }
}

/// A page that numbers are written on; the first failure ends it.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
    outcome: fmt::Result,
}

impl Page<'_> {
    fn write(&mut self, metric: Metric, value: &impl EncodeMetric) {
        if self.outcome.is_ok() {
            let descriptor =
                self.encoder
                    .encode_descriptor(metric.name, metric.help, None, value.metric_type());
            self.outcome = descriptor.and_then(|encoder| value.encode(encoder));
        }
    }
}

impl Meter for Page<'_> {
    fn count(&mut self, metric: Metric, value: u64) {
        self.write(metric, &ConstCounter::new(value));
    }

    fn level(&mut self, metric: Metric, value: u64) {
        self.write(
            metric,
            &ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)),
        );
    }

    fn counts(&mut self, metric: Metric, label: &str, samples: &[(&str, u64)]) {
        let kind = MetricType::Counter;
        self.write(
            metric,
            &Split {
                label,
                samples,
                kind,
            },
        );
    }

    fn levels(&mut self, metric: Metric, label: &str, samples: &[(&str, u64)]) {
        let kind = MetricType::Gauge;
        self.write(
            metric,
            &Split {
                label,
                samples,
                kind,
            },
        );
    }

    fn times(&mut self, metric: Metric, times: &Times) {
        self.write(metric, &Histogram(times));
    }

    fn times_by(&mut self, metric: Metric, label: &str, samples: &[(&str, Times)]) {
        self.write(metric, &Histograms { label, samples });
    }
}

/// One number for each value of a label.
struct Split<'a> {
    label: &'a str,
    samples: &'a [(&'a str, u64)],
    /// A counter or a gauge.
    kind: MetricType,
}

impl EncodeMetric for Split<'_> {
    fn encode(&self, mut encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        for &(value, count) in self.samples {
            let labels = [(self.label, value)];
            let sample = encoder.encode_family(&labels)?;
            if matches!(self.kind, MetricType::Gauge) {
                ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(sample)?;
            } else {
                ConstCounter::new(count).encode(sample)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

/// Times for each value of a label.
struct Histograms<'a> {
    label: &'a str,
    samples: &'a [(&'a str, Times)],
}

impl EncodeMetric for Histograms<'_> {
    fn encode(&self, mut encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        for (value, times) in self.samples {
            let labels = [(self.label, *value)];
            Histogram(times).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

struct Histogram<'a>(&'a Times);

impl EncodeMetric for Histogram<'_> {
    fn encode(&self, mut encoder: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        let in_seconds = |(bound, count): (Option<std::time::Duration>, u64)| {
            (bound.map_or(f64::MAX, |bound| bound.as_secs_f64()), count)
        };
        let buckets: Vec<_> = self.0.buckets().map(in_seconds).collect();
        let sum = self.0.sum().as_secs_f64();
        encoder.encode_histogram::<NoLabels>(sum, self.0.len(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

type NoLabels = [(&'static str, &'static str); 0];
