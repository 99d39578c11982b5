//! A client with the rights of the tests' kubeconfig.

use kube::{Client, Config, config::KubeConfigOptions};

/// From the file that `KUBECONFIG` names, never from a home folder: the cluster must be a disposable one.
pub(crate) async fn admin() -> Client {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "KUBECONFIG must name a disposable cluster: run `tests/run cluster`, which starts one and sets the variable"
    );
    Client::try_from(config().await).expect("the kubeconfig makes a client")
}

pub(crate) async fn config() -> Config {
    // Another test may have been faster.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Config::from_kubeconfig(&KubeConfigOptions::default()).await.expect("KUBECONFIG names a kubeconfig")
}
