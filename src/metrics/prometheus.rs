//! What Prometheus answers, read. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::tools::{MetricsError, Series};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    status: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    error: Option<String>,
}

/// What stands inside the envelope, or Prometheus' own sentence.
pub(super) fn data<'a, T: Deserialize<'a>>(body: &'a [u8], server: &str) -> Result<T, MetricsError> {
    let garbled = |reason: String| MetricsError::Garbled { server: server.to_owned(), reason };
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|error| garbled(error.to_string()))?;
    let Envelope { status, data, error } = envelope;
    if status != "success" {
        return Err(MetricsError::Refused(error.unwrap_or_else(|| "no reason given".to_owned())));
    }
    let data = data.ok_or_else(|| garbled("it has no data".to_owned()))?;
    serde_json::from_str(data.get()).map_err(|error| garbled(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Result_<'a> {
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// Unix seconds and a number as text: `NaN` and `+Inf` are no JSON numbers.
type Sample = (f64, String);

#[derive(Deserialize)]
struct One {
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
    #[serde(default)]
    values: Vec<Sample>,
    /// Of a native histogram, which has no single value.
    histogram: Option<(f64, Histogram)>,
    #[serde(default)]
    histograms: Vec<(f64, Histogram)>,
}

#[derive(Deserialize)]
struct Histogram {
    count: String,
}

pub(super) fn series(body: &[u8], server: &str) -> Result<Vec<Series>, MetricsError> {
    let garbled = |reason: String| MetricsError::Garbled { server: server.to_owned(), reason };
    let Result_ { result_type, result } = data(body, server)?;
    match result_type.as_str() {
        "vector" | "matrix" => {
            let all: Vec<One> =
                serde_json::from_str(result.get()).map_err(|error| garbled(error.to_string()))?;
            Ok(all.into_iter().map(One::into_series).collect())
        }
        "scalar" => {
            let sample: Sample =
                serde_json::from_str(result.get()).map_err(|error| garbled(error.to_string()))?;
            Ok(vec![Series { labels: BTreeMap::new(), points: vec![point(&sample)] }])
        }
        "string" => Err(MetricsError::Refused("it is a text and has no values".to_owned())),
        other => Err(garbled(format!("a result of type {other}"))),
    }
}

impl One {
    /// A native histogram is shown by how many observations it has.
    fn into_series(self) -> Series {
        let Self { metric, value, values, histogram, histograms } = self;
        let mut labels = metric;
        let counted = histogram.into_iter().chain(histograms).map(|(at, histogram)| (at, histogram.count));
        let counted: Vec<Sample> = counted.collect();
        if !counted.is_empty() {
            labels.insert("(histogram)".to_owned(), "count of observations".to_owned());
        }
        let points = value.iter().chain(&values).chain(&counted).map(point).collect();
        Series { labels, points }
    }
}

fn point((at, value): &Sample) -> (f64, f64) {
    // Rust reads `+Inf`, `-Inf` and `NaN`, too.
    (*at, value.parse().unwrap_or(f64::NAN))
}

pub(super) fn checked(body: &[u8], server: &str) -> Result<(), MetricsError> {
    data::<&RawValue>(body, server).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::{checked, series};
    use crate::tools::MetricsError;

    #[test]
    fn every_type_of_result_is_a_list_of_series() {
        let vector = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"a"},"value":[1700000000.5,"+Inf"]}]}}"#;
        let read = series(vector, "Prometheus").unwrap_or_default();
        assert_eq!(read[0].labels["job"], "a");
        assert_eq!(read[0].points, [(1_700_000_000.5, f64::INFINITY)]);
        let matrix = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1,"1"],[2,"2.5"]]},{"metric":{},"histograms":[[1,{"count":"7","sum":"9"}]]}]}}"#;
        let read = series(matrix, "Prometheus").unwrap_or_default();
        assert_eq!(read[0].points, [(1.0, 1.0), (2.0, 2.5)]);
        assert_eq!(read[1].points, [(1.0, 7.0)]);
        let scalar = br#"{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}"#;
        assert_eq!(series(scalar, "Prometheus").unwrap_or_default()[0].points, [(1.0, 3.0)]);
    }

    #[test]
    fn a_refusal_is_in_prometheus_own_words() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"1:4: parse error: unexpected end of input"}"#;
        let refused = MetricsError::Refused("1:4: parse error: unexpected end of input".to_owned());
        assert_eq!(series(body, "Prometheus"), Err(refused.clone()));
        assert_eq!(checked(body, "Prometheus"), Err(refused));
        assert!(matches!(series(b"<html>", "Prometheus"), Err(MetricsError::Garbled { .. })));
        assert_eq!(checked(br#"{"status":"success","data":"up"}"#, "Prometheus"), Ok(()));
    }
}
