//! The wire: generated messages and services, one module a package.
//!
//! `grpc` and `security`, `shared`, `dataserver` are the official GooseFS 2.x interfaces; `v1` is
//! ours, beside them. Field numbers from 1001 up in official messages are ours too: a client that
//! does not know them skips them.
#![allow(missing_docs, non_camel_case_types, clippy::all, rustdoc::all)]

/// Includes the code generated for one proto package.
macro_rules! package {
    ($name:literal) => {
        tonic::include_proto!($name);
    };
}

pub mod convert;

/// Our own services.
pub mod v1 {
    package!("goosefs.v1");
}

/// The official packages, nested as their names are, since generated code refers up by `super`.
pub mod com {
    pub mod qcloud {
        pub mod cos {
            pub mod goosefs {
                pub mod grpc {
                    package!("com.qcloud.cos.goosefs.grpc");
                    pub mod block {
                        package!("com.qcloud.cos.goosefs.grpc.block");
                    }
                    pub mod file {
                        package!("com.qcloud.cos.goosefs.grpc.file");
                    }
                    pub mod fscommon {
                        package!("com.qcloud.cos.goosefs.grpc.fscommon");
                    }
                    pub mod metric {
                        package!("com.qcloud.cos.goosefs.grpc.metric");
                    }
                    pub mod sasl {
                        package!("com.qcloud.cos.goosefs.grpc.sasl");
                    }
                    pub mod version {
                        package!("com.qcloud.cos.goosefs.grpc.version");
                    }
                }
                pub mod proto {
                    pub mod dataserver {
                        package!("com.qcloud.cos.goosefs.proto.dataserver");
                    }
                    pub mod security {
                        package!("com.qcloud.cos.goosefs.proto.security");
                    }
                    pub mod shared {
                        package!("com.qcloud.cos.goosefs.proto.shared");
                    }
                    pub mod status {
                        package!("com.qcloud.cos.goosefs.proto.status");
                    }
                }
            }
        }
    }
}

pub use com::qcloud::cos::goosefs::grpc;
pub use com::qcloud::cos::goosefs::proto::{dataserver, security, shared};
