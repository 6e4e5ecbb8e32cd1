import BusbarDriver

/// The steps on the way to being live. Each ends in one success or one failure that carries the attempt's number; what comes
/// later than that is ignored.
extension PostgresLink {
    func connect(_ number: Int) {
        self.attempt.number = number
        self.attempt.awaited = 2
        self.attempt.requests = self.open(self.configuration.server)
        self.attempt.listener = self.open(self.configuration.listenerServer ?? self.configuration.server)
    }

    private func open(_ server: Secret) -> Connection {
        // Why this order: what a URI says goes before what stands ahead of it, and what stands behind goes before the URI.
        Connection(
            [
                ("target_session_attrs", "read-write"),
                ("fallback_application_name", "busbar \(self.configuration.app)"),
                ("dbname", server.text),
                ("client_encoding", "UTF8"),
            ] + ConnectionURI.hosts(of: server.text, beginningWith: self.vainConnects))
    }

    // MARK: Verify

    func verify(_ number: Int) {
        self.vainConnects = 0
        guard let requests = self.attempt.requests else { return }
        guard requests.serverVersion >= 130_000 else {
            let detail = "the server's version is \(requests.serverVersion / 10_000); wanted: PostgreSQL 13 or later"
            let error = DriverError(.rejected, during: "run", recovery: .giveUp, detail: detail)
            return self.fail(error, attempt: number)
        }
        let table = "\(self.configuration.schema.asIdentifier).apps"
        let question = Statement("SELECT to_regclass($1) IS NOT NULL, pg_backend_pid()", .text(table))
        self.ask(question, of: requests, attempt: number) { rows in
            requests.mayPrepare = self.trustsSessions && rows.integer(0, 1) == Int64(requests.announcedBackend)
            if rows.boolean(0, 0) == true { self.checkSchema(number) } else { self.createSchema(number) }
        }
    }

    private func createSchema(_ number: Int) {
        let migration = Schema.migration(named: self.configuration.schema, isLogged: self.configuration.isLogged)
        self.attempt.requests?.send(migration, within: self.configuration.requestLimit) { answer in
            guard number == self.attempt.number else { return }
            switch answer {
            case .success: self.checkSchema(number)
            case .failure(let error) where error.state == "42501":
                let detail =
                    "schema \(self.configuration.schema) isn't there, and this role may not create it: "
                    + "let its owner run what 'busbar doctor --print-schema' prints (\(error.message))"
                let error = DriverError(.unauthorized, during: "run", recovery: .giveUp, detail: detail)
                self.fail(error, attempt: number)
            case .failure(let error): self.fail(error, attempt: number)
            }
        }
    }

    private func checkSchema(_ number: Int) {
        self.attempt.requests?.send(self.calls.schemaFacts(), within: self.configuration.requestLimit) { answer in
            guard number == self.attempt.number else { return }
            switch answer {
            case .success(let rows): self.judgeSchema(rows, attempt: number)
            case .failure(let error) where error.state == "42883":
                let remedy = "it isn't Busbar's: name another one with ?schema="
                self.refuseSchema(remedy, attempt: number)
            case .failure(let error): self.fail(error, attempt: number)
            }
        }
    }

    private func judgeSchema(_ rows: Rows, attempt number: Int) {
        guard let version = rows.integer(0, 0), let isLogged = rows.boolean(0, 1) else {
            return self.fail(LogCalls.unexpected("schema_facts"), attempt: number)
        }
        if version > Schema.version {
            let remedy =
                "it has version \(version), and this build knows up to \(Schema.version): "
                + "use a newer Busbar, or another schema"
            return self.refuseSchema(remedy, attempt: number)
        }
        if version < Schema.version {
            let remedy =
                "it has version \(version), of an earlier Busbar, and this build needs \(Schema.version): name another with "
                + "?schema=, or stop all nodes, see that its outbox is empty, and DROP SCHEMA ... CASCADE"
            return self.refuseSchema(remedy, attempt: number)
        }
        if isLogged != self.configuration.isLogged {
            let remedy =
                "its tables are \(isLogged ? "logged" : "unlogged"): "
                + "say logged=\(isLogged) in the URL, or name another schema"
            return self.refuseSchema(remedy, attempt: number)
        }
        self.ask(self.calls.openApp(self.configuration.app), of: self.attempt.requests, attempt: number) {
            rows throws(ServerError) in
            guard let app = rows.integer(0, 0).flatMap({ Int32(exactly: $0) }), let channel = rows.text(0, 1) else {
                throw LogCalls.unexpected("open_app")
            }
            self.attempt.app = app
            self.attempt.channel = channel
            self.stepSucceeded(number)
        }
    }

    private func refuseSchema(_ remedy: String, attempt number: Int) {
        let detail = "schema \(self.configuration.schema) can't be used: \(remedy)"
        self.fail(DriverError(.rejected, during: "run", recovery: .giveUp, detail: detail), attempt: number)
    }

    // MARK: Follow

    /// Listens, and makes sure that it is heard: of several statements in a row, and through whatever stands between.
    func follow(_ number: Int) {
        let channel = self.attempt.channel
        self.attempt.nonce = String(UInt64.random(in: 1...(.max)), radix: 16)
        let listener = self.attempt.listener
        self.attempt.nonceDeadline = .now + self.configuration.requestLimit * 0.6
        self.ask(Statement("LISTEN \(channel.asIdentifier)"), of: listener, attempt: number) { _ in }
        let question = Statement(
            "SELECT pg_backend_pid(), $1 IN (SELECT pg_listening_channels())", .text(channel))
        self.ask(question, of: listener, attempt: number) { rows in
            self.attempt.listensThroughPooler = rows.integer(0, 0) != listener.map { Int64($0.announcedBackend) }
            listener?.mayPrepare = self.trustsSessions && !self.attempt.listensThroughPooler
            guard rows.boolean(0, 1) == true else { return self.refusePooler(number) }
            self.ask(
                self.calls.probe(self.attempt.nonce, app: self.attempt.app), of: self.attempt.requests, attempt: number
            ) { _ in }
        }
    }

    /// Our own notification has arrived. Only now the streams are asked what they hold: whatever is appended after that
    /// rings.
    func notificationsComeThrough(_ number: Int) {
        self.attempt.nonceDeadline = nil
        self.attempt.nonce = ""
        self.attempt.awaited = self.streams.count + 1
        for stream in self.streams {
            let statement = self.calls.attach(stream, seen: self.seen[stream], app: self.attempt.app)
            self.ask(statement, of: self.attempt.listener, attempt: number) { rows throws(ServerError) in
                let extent = try LogCalls.extent(rows)
                self.attempt.extents[stream] = extent
                self.attempt.following.attached(stream, extent)
                self.answered(number)
            }
        }
        self.answered(number)
    }

    /// The step's time is up without our own notification.
    func notificationsStayAway(_ number: Int) {
        self.attempt.nonceDeadline = nil
        if self.attempt.listensThroughPooler { return self.refusePooler(number) }
        let detail =
            "a notification did not come back on the listening connection: "
            + "do the URL and its listener= lead to the same database?"
        self.fail(
            DriverError(.timedOut, during: "run", recovery: .retry(after: .zero), detail: detail), attempt: number)
    }

    private func refusePooler(_ number: Int) {
        let detail =
            "a pooler that gives each transaction another connection (as PgBouncer's transaction mode) stands between, "
            + "and notifications don't come through it: name a direct way with ?listener=postgres://…, or use session mode"
        self.fail(
            DriverError(.rejected, during: "run", recovery: .retry(after: .seconds(5)), detail: detail), attempt: number
        )
    }

    func answered(_ number: Int) {
        guard number == self.attempt.number else { return }
        self.attempt.awaited -= 1
        if self.attempt.awaited == 0 { self.stepSucceeded(number) }
    }
}
