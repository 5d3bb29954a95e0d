//! nginx, as an HTTP store (WebDAV) and as a reverse proxy in front of another server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::Certificates;
use crate::install;
use crate::process::{Process, accepts, subdirectory};

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it serves.
    pub backend: Backend,
    /// Whether it speaks TLS.
    pub tls: Tls,
    /// Who may ask.
    pub auth: Auth,
    /// Answer everything with this status instead of serving it.
    pub status: Option<u16>,
    /// Answer gRPC calls whose path begins with the text, as in
    /// `/build.bazel.remote.execution.v2.ActionCache/Update`, with a status of gRPC instead of
    /// passing them on.
    pub grpc_status: Vec<(String, u16)>,
}

/// What an [`Nginx`] serves.
#[derive(Clone, Debug, Default)]
pub enum Backend {
    /// Files, by GET, HEAD and PUT. It takes any bytes under any path, and answers 201 first and
    /// 204 when it overwrites.
    #[default]
    Store,
    /// The HTTP server that listens there.
    Http(SocketAddr),
    /// The gRPC server that listens there.
    Grpc(SocketAddr),
}

/// Whether an [`Nginx`] speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It doesn't.
    #[default]
    Off,
    /// 1.2 and 1.3.
    On,
    /// The same, and every client needs a certificate. Others are answered 400.
    Mutual,
}

/// Who may ask an [`Nginx`]. Others are answered 401.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Everybody.
    #[default]
    Open,
    /// Who sends this name and password.
    Basic {
        /// The name, without a colon.
        user: String,
        /// The password.
        password: String,
    },
    /// Who sends `Authorization: Bearer` with this token, of letters, digits and `-`.
    Bearer(String),
}

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    storage: PathBuf,
    scheme: &'static str,
    certificates: Option<Certificates>,
}

impl Nginx {
    /// A server with an empty storage.
    pub fn start(options: Options) -> Nginx {
        let program = install::system("nginx");
        let command = |port: u16, directory: &Path| {
            subdirectory(directory, "storage");
            if options.tls != Tls::Off {
                Certificates::create(directory);
            }
            let file = directory.join("nginx.conf");
            fs::write(&file, configuration(&options, port, directory)).expect("nginx.conf");
            let mut command = Command::new(&program);
            command.arg("-e").arg(directory.join("log")).arg("-p").arg(directory);
            command.arg("-c").arg(file);
            command
        };
        let process = Process::start("nginx", command, accepts);
        let storage = process.directory().join("storage");
        let scheme = match (&options.backend, options.tls) {
            (Backend::Grpc(_), Tls::Off) => "grpc",
            (Backend::Grpc(_), _) => "grpcs",
            (_, Tls::Off) => "http",
            (_, _) => "https",
        };
        let certificates =
            (options.tls != Tls::Off).then(|| Certificates::in_directory(process.directory()));
        Nginx { process, storage, scheme, certificates }
    }

    /// `http://127.0.0.1:PORT`, or with `https`, `grpc` or `grpcs`, by what it is.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }

    /// Those of a server with TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the server was started with TLS")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Its storage, with files as they are named in the URL. A proxy's stays empty.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn configuration(options: &Options, port: u16, directory: &Path) -> String {
    let mut listen = format!("127.0.0.1:{port}");
    let mut server = String::new();
    match &options.backend {
        Backend::Store => {
            server.push_str("root storage; dav_methods PUT; create_full_put_path on;\n");
        }
        Backend::Http(address) => {
            server.push_str(&format!(
                "location / {{ proxy_pass http://{address}; proxy_http_version 1.1; \
                 proxy_set_header Host $http_host; proxy_request_buffering off; }}\n"
            ));
        }
        Backend::Grpc(address) => {
            listen.push_str(" http2");
            server.push_str(&format!("location / {{ grpc_pass grpc://{address}; }}\n"));
        }
    }
    if options.tls != Tls::Off {
        listen.push_str(" ssl");
        // By ALPN: a client that doesn't offer it gets HTTP/1.1.
        if !listen.contains(" http2") {
            listen.push_str(" http2");
        }
        server.push_str(
            "ssl_certificate server.pem; ssl_certificate_key server.key; \
             ssl_protocols TLSv1.2 TLSv1.3;\n",
        );
    }
    if options.tls == Tls::Mutual {
        server.push_str("ssl_client_certificate authority.pem; ssl_verify_client on;\n");
    }
    let mut map = String::new();
    match &options.auth {
        Auth::Open => {}
        Auth::Basic { user, password } => {
            let file = directory.join("users");
            fs::write(&file, format!("{user}:{{PLAIN}}{password}\n")).expect("nginx's users");
            server.push_str("auth_basic test; auth_basic_user_file users;\n");
        }
        Auth::Bearer(token) => {
            map = format!(
                "map $http_authorization $stranger {{ default 1; '~^Bearer {token}$' ''; }}\n"
            );
            server.push_str("if ($stranger) { return 401; }\n");
        }
    }
    for (path, status) in &options.grpc_status {
        server.push_str(&format!(
            "location {path} {{ default_type application/grpc; add_header grpc-status {status}; \
             add_header grpc-message refused; return 200; }}\n"
        ));
    }
    if let Some(status) = options.status {
        server.push_str(&format!("return {status};\n"));
    }
    // One process without a master: nothing is left when it is killed.
    format!(
        "\
daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
access_log off;
client_max_body_size 0;
client_body_temp_path body;
proxy_temp_path proxy;
fastcgi_temp_path fastcgi;
scgi_temp_path scgi;
uwsgi_temp_path uwsgi;
{map}server {{
listen {listen};
{server}}}
}}
"
    )
}
