//! The Grafana dashboard, from the page of the metrics: a row for each of its sections, a panel for each of its numbers, and
//! what to look at first on top.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{put, read};

/// Writes or compares the dashboard.
pub(super) fn run(root: &Path, check: bool) -> Result<()> {
    let sections = sections(&read(&root.join(PAGE))?)?;
    let text = serde_json::to_string_pretty(&dashboard(&sections))?;
    put(root, &root.join(DASHBOARD), &format!("{text}\n"), check)
}

/// A section of the page.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    title: String,
    numbers: Vec<Number>,
}

/// A line of its table.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    /// As it leaves the process.
    name: String,
    label: Option<String>,
    kind: Kind,
    says: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Reads the sections that have a table of numbers.
fn sections(page: &str) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            sections.push(Section {
                title: title.to_owned(),
                numbers: Vec::new(),
            });
        } else if line.starts_with("| `heliogram_") {
            let number = number(line).with_context(|| format!("{PAGE}: {line}"))?;
            let section = sections
                .last_mut()
                .context("a number before all sections")?;
            section.numbers.push(number);
        }
    }
    sections.retain(|section| !section.numbers.is_empty());
    Ok(sections)
}

fn number(line: &str) -> Result<Number> {
    let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
    let (Some(name), Some(kind), Some(says), None) =
        (cells.next(), cells.next(), cells.next(), cells.next())
    else {
        bail!("expected a name, a kind and what it says")
    };
    let name = name.trim_matches('`');
    let (name, label) = match name.split_once('{') {
        Some((name, label)) => (name, Some(label.trim_end_matches('}').to_owned())),
        None => (name, None),
    };
    let kind = match kind {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        other => bail!("{other} is no kind: expected counter, gauge or histogram"),
    };
    if (kind == Kind::Counter) != name.ends_with("_total") {
        bail!("a counter, and nothing else, ends in _total");
    }
    Ok(Number {
        name: name.to_owned(),
        label,
        kind,
        says: says.to_owned(),
    })
}

fn dashboard(sections: &[Section]) -> Value {
    let mut panels = Panels::default();
    panels.row("At a glance");
    for (title, unit, expression) in FIRST {
        let target = target("A", expression, "");
        panels.add("stat", title, "", unit, &[target]);
    }
    for section in sections {
        panels.row(&section.title);
        for number in &section.numbers {
            let unit = number.unit();
            panels.add(
                "timeseries",
                &number.title(),
                &number.says,
                unit,
                &number.targets(),
            );
        }
    }
    json!({
        "uid": "heliogram",
        "title": "Heliogram",
        "description": "Made from docs/metrics.md by `cargo xtask gen`.",
        "tags": ["heliogram"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": { "from": "now-3h", "to": "now" },
        "timezone": "",
        "templating": { "list": [
            {
                "name": "datasource",
                "label": "Data source",
                "type": "datasource",
                "query": "prometheus",
            },
            {
                "name": "job",
                "label": "Job",
                "type": "query",
                "datasource": source(),
                "query": { "query": "label_values({__name__=~\"heliogram_(gateway_connections|session_sessions)\"}, job)", "refId": "job" },
                "definition": "",
                "multi": true,
                "includeAll": true,
                "allValue": ".*",
                "current": { "text": "All", "value": "$__all" },
                "refresh": 2,
            },
        ] },
        "panels": panels.done,
    })
}

impl Number {
    /// The name without what all have, as words.
    fn title(&self) -> String {
        let bare = self.name.strip_prefix("heliogram_").unwrap_or(&self.name);
        let bare = bare.strip_suffix("_total").unwrap_or(bare);
        bare.replace('_', " ")
    }

    fn unit(&self) -> &'static str {
        let of = |unit: &str| self.name.split('_').any(|word| word == unit);
        match self.kind {
            Kind::Histogram => "s",
            Kind::Counter if of("bytes") => "Bps",
            Kind::Counter => "cps",
            Kind::Gauge if of("bytes") => "bytes",
            Kind::Gauge => "short",
        }
    }

    fn targets(&self) -> Vec<Value> {
        let name = &self.name;
        let by = self.label.as_deref();
        let legend = by.map_or_else(String::new, |label| format!("{{{{{label}}}}}"));
        let grouped = by.map_or_else(String::new, |label| format!(" by ({label})"));
        match self.kind {
            Kind::Counter => {
                let rate = format!("sum{grouped} (rate({name}{{{JOB}}}[$__rate_interval]))");
                vec![target("A", &rate, &legend)]
            }
            // What is the most of one session is not to be added up.
            Kind::Gauge if name.contains("_most") => {
                vec![target(
                    "A",
                    &format!("max{grouped} ({name}{{{JOB}}})"),
                    &legend,
                )]
            }
            Kind::Gauge => vec![target(
                "A",
                &format!("sum{grouped} ({name}{{{JOB}}})"),
                &legend,
            )],
            Kind::Histogram => {
                let labels = by.map_or_else(|| "le".to_owned(), |label| format!("le, {label}"));
                let quantile = |id: &str, quantile: &str, word: &str| {
                    let rate = format!("rate({name}_bucket{{{JOB}}}[$__rate_interval])");
                    let expression =
                        format!("histogram_quantile({quantile}, sum by ({labels}) ({rate}))");
                    target(id, &expression, format!("{word} {legend}").trim_end())
                };
                vec![
                    quantile("A", "0.5", "half"),
                    quantile("B", "0.99", "99 of 100"),
                ]
            }
        }
    }
}

/// Panels in the order of the screen: rows of two.
#[derive(Default)]
struct Panels {
    done: Vec<Value>,
    left: u32,
    top: u32,
    height: u32,
}

impl Panels {
    fn row(&mut self, title: &str) {
        self.end_line();
        self.push(
            "row",
            title,
            24,
            1,
            json!({ "collapsed": false, "panels": [] }),
        );
        self.end_line();
    }

    fn add(&mut self, kind: &str, title: &str, says: &str, unit: &str, targets: &[Value]) {
        let (width, height) = if kind == "stat" { (4, 4) } else { (12, 7) };
        let rest = json!({
            "description": says,
            "datasource": source(),
            "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] },
            "targets": targets,
        });
        self.push(kind, title, width, height, rest);
    }

    fn push(&mut self, kind: &str, title: &str, width: u32, height: u32, rest: Value) {
        if self.left + width > 24 {
            self.end_line();
        }
        let mut panel = json!({
            "id": self.done.len() + 1,
            "type": kind,
            "title": title,
            "gridPos": { "x": self.left, "y": self.top, "w": width, "h": height },
        });
        if let (Some(panel), Value::Object(rest)) = (panel.as_object_mut(), rest) {
            panel.extend(rest);
        }
        self.done.push(panel);
        self.left += width;
        self.height = self.height.max(height);
    }

    fn end_line(&mut self) {
        self.top += self.height;
        (self.left, self.height) = (0, 0);
    }
}

fn target(id: &str, expression: &str, legend: &str) -> Value {
    json!({
        "refId": id,
        "datasource": source(),
        "expr": expression,
        "legendFormat": if legend.is_empty() { "all" } else { legend },
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// What every question is about.
const JOB: &str = "job=~\"$job\"";

/// What to look at first: a title, a unit and a question.
const FIRST: [(&str, &str, &str); 6] = [
    (
        "Connections",
        "short",
        "sum (heliogram_gateway_connections{job=~\"$job\"})",
    ),
    (
        "Sessions",
        "short",
        "sum (heliogram_session_sessions{job=~\"$job\"})",
    ),
    (
        "Calls",
        "cps",
        "sum (rate(heliogram_session_calls_total{job=~\"$job\"}[$__rate_interval]))",
    ),
    (
        "99 of 100 answers within",
        "s",
        "histogram_quantile(0.99, sum by (le) (rate(heliogram_session_call_seconds_bucket{job=~\"$job\"}[$__rate_interval])))",
    ),
    (
        "Handshakes",
        "cps",
        "sum (rate(heliogram_gateway_handshakes_total{job=~\"$job\"}[$__rate_interval]))",
    ),
    (
        "Keys that no store could say",
        "cps",
        "sum (rate(heliogram_gateway_key_look_ups_total{job=~\"$job\", outcome=\"unavailable\"}[$__rate_interval]))",
    ),
];

const PAGE: &str = "docs/metrics.md";
const DASHBOARD: &str = "deploy/grafana/heliogram.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_page_is_a_number_and_other_text_is_none() {
        let page = "# Metrics\n\n## Not a table\n\ntext\n\n## Part\n\n| name | kind | what it says |\n| --- | --- | --- |\n\
                    | `heliogram_a_total{why}` | counter | Things, and why |\n| `heliogram_b` | gauge | Level |\n";
        let number = |name: &str, label: Option<&str>, kind, says: &str| Number {
            name: name.to_owned(),
            label: label.map(str::to_owned),
            kind,
            says: says.to_owned(),
        };
        let part = Section {
            title: "Part".to_owned(),
            numbers: vec![
                number(
                    "heliogram_a_total",
                    Some("why"),
                    Kind::Counter,
                    "Things, and why",
                ),
                number("heliogram_b", None, Kind::Gauge, "Level"),
            ],
        };
        assert_eq!(sections(page).unwrap(), [part]);
    }

    #[test]
    fn a_line_with_a_wrong_kind_name_or_shape_is_refused() {
        for line in [
            "| `heliogram_a` | counter | Without its ending |",
            "| `heliogram_a_total` | gauge | With one |",
            "| `heliogram_a` | guage | No kind |",
            "| `heliogram_a` | gauge |",
        ] {
            assert!(sections(&format!("## Part\n{line}\n")).is_err(), "{line}");
        }
    }

    #[test]
    fn each_kind_is_asked_for_as_it_is_to_be_read() {
        let asked = |line| {
            let targets = number(line).unwrap().targets();
            let asked = targets
                .iter()
                .map(|it| it["expr"].as_str().unwrap().to_owned());
            asked.collect::<Vec<_>>()
        };
        assert_eq!(
            asked("| `x_total{why}` | counter | x |"),
            ["sum by (why) (rate(x_total{job=~\"$job\"}[$__rate_interval]))"]
        );
        assert_eq!(asked("| `x` | gauge | x |"), ["sum (x{job=~\"$job\"})"]);
        assert_eq!(
            asked("| `x_most` | gauge | x |"),
            ["max (x_most{job=~\"$job\"})"]
        );
        let quantiles = asked("| `x_seconds{route}` | histogram | x |");
        assert_eq!(
            quantiles[1],
            "histogram_quantile(0.99, sum by (le, route) (rate(x_seconds_bucket{job=~\"$job\"}[$__rate_interval])))"
        );
    }

    #[test]
    fn no_two_panels_lie_on_each_other_or_beside_the_screen() {
        let page = read(&crate::process::root().join(PAGE)).unwrap();
        let dashboard = dashboard(&sections(&page).unwrap());
        let panels = dashboard["panels"].as_array().unwrap();
        let area = |panel: &Value| {
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap())
        };
        for (at, panel) in panels.iter().enumerate() {
            let [x, y, w, h] = area(panel);
            assert!(x + w <= 24);
            for other in &panels[at + 1..] {
                let [ox, oy, ow, oh] = area(other);
                let apart = x + w <= ox || ox + ow <= x || y + h <= oy || oy + oh <= y;
                assert!(apart, "{panel} {other}");
            }
        }
    }
}
