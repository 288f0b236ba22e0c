/// How to reach a server, and what every connection to it is told first.
package struct PostgresConfiguration: Sendable {
    /// A URL (`postgresql://…`) or `key=value` pairs, as libpq reads them; several hosts are tried in order. May hold
    /// a password: it goes into no log and no error.
    package var connectionString: String
    /// What `pg_stat_activity` shows.
    package var applicationName: String
    /// Session settings, such as `("plan_cache_mode", "force_generic_plan")`, set once a connection stands.
    package var settings: [(name: String, value: String)]
    /// For each host; libpq counts whole seconds, two at least.
    package var connectTimeoutSeconds: Int
    /// For each call that names no time of its own. Past it the connection is closed, for nobody knows its state.
    package var callTimeout: Duration

    package init(
        _ connectionString: String, applicationName: String = "zenrent-gateway",
        settings: [(name: String, value: String)] = [], connectTimeoutSeconds: Int = 5,
        callTimeout: Duration = .seconds(30)
    ) {
        self.connectionString = connectionString
        self.applicationName = applicationName
        self.settings = settings
        self.connectTimeoutSeconds = connectTimeoutSeconds
        self.callTimeout = callTimeout
    }

    /// libpq's keywords in the order they count: what the connection string says comes after, and over, our defaults,
    /// and what we must have comes last.
    var keywords: [(keyword: String, value: String)] {
        [
            ("connect_timeout", String(connectTimeoutSeconds)),
            // A server that is gone without a word is noticed by the kernel within about 20 seconds.
            ("keepalives_idle", "10"), ("keepalives_interval", "3"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "20000"),
            ("fallback_application_name", applicationName),
            ("dbname", connectionString),
            ("client_encoding", "UTF8"),
        ]
    }
}
