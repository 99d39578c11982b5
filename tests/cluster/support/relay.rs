//! Stands between a client and a server: counts connections, and can let those there are fall silent or break.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// On a loopback port. Ends with all its connections when dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Of the connections accepted since it was last replaced.
    mood: Arc<Mutex<watch::Sender<Mood>>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Open,
    /// Nothing goes through any more, and nobody is told.
    Silent,
    Broken,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let accepted = Arc::<AtomicUsize>::default();
        let mood = Arc::new(Mutex::new(watch::Sender::new(Mood::Open)));
        let task = tokio::spawn({
            let (accepted, mood) = (accepted.clone(), mood.clone());
            async move {
                let mut open = JoinSet::new();
                while let Ok((near, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    open.spawn(carry(near, server, mood.lock().expect("no panic").subscribe()));
                }
            }
        });
        Self { address, accepted, mood, task }
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The connections there are stay open but carry nothing; new ones do.
    #[allow(dead_code)]
    pub(crate) fn silence(&self) {
        self.become_now(Mood::Silent, Mood::Open);
    }

    /// The connections there are end; new ones do not.
    #[allow(dead_code)]
    pub(crate) fn cut(&self) {
        self.become_now(Mood::Broken, Mood::Open);
    }

    /// The server is gone, for those there are and for new ones.
    #[allow(dead_code)]
    pub(crate) fn refuse(&self) {
        self.become_now(Mood::Broken, Mood::Broken);
    }

    /// The server is back.
    #[allow(dead_code)]
    pub(crate) fn accept(&self) {
        self.become_now(Mood::Open, Mood::Open);
    }

    fn become_now(&self, those_there: Mood, new_ones: Mood) {
        let mut current = self.mood.lock().expect("no panic");
        current.send_replace(those_there);
        *current = watch::Sender::new(new_ones);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut near: TcpStream, server: SocketAddr, mut mood: watch::Receiver<Mood>) {
    if *mood.borrow() == Mood::Broken {
        return;
    }
    let Ok(mut far) = TcpStream::connect(server).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
        _ = mood.changed() => {}
    }
    let now = *mood.borrow();
    if now == Mood::Silent {
        std::future::pending().await
    }
}
