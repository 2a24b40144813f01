//! What was measured.

use crate::core::error::Result;
use crate::core::model::{Measured, Measurement, Sums};
use crate::core::proto::v1;

impl From<&Measured> for v1::Measured {
    fn from(measured: &Measured) -> Self {
        let Sums { files, folders, bytes, cached_bytes } = measured.sums;
        v1::Measured { path: measured.path.to_string(), files, folders, bytes, cached_bytes }
    }
}

impl TryFrom<v1::Measured> for Measured {
    type Error = crate::core::error::Error;

    fn try_from(told: v1::Measured) -> Result<Self> {
        let v1::Measured { path, files, folders, bytes, cached_bytes } = told;
        Ok(Measured { path: path.parse()?, sums: Sums { files, folders, bytes, cached_bytes } })
    }
}

impl From<Measurement> for v1::MeasureResponse {
    fn from(found: Measurement) -> Self {
        let measured = found.measured.iter().map(Into::into).collect();
        v1::MeasureResponse { measured, silent: found.silent, unread: found.unread }
    }
}

impl TryFrom<v1::MeasureResponse> for Measurement {
    type Error = crate::core::error::Error;

    fn try_from(told: v1::MeasureResponse) -> Result<Self> {
        let measured = told.measured.into_iter().map(Measured::try_from).collect::<Result<_>>()?;
        Ok(Measurement { measured, silent: told.silent, unread: told.unread })
    }
}
