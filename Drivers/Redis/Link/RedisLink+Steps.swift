import BusbarConnection
import BusbarDriver
import NIOCore

/// The steps on the way to being live. Each ends in one success or one failure that carries the attempt's number; what
/// comes later than that is ignored.
extension RedisLink {
    func connect(_ number: Int) {
        self.attempt.number = number
        self.dialer.dialPair { result in
            guard number == self.attempt.number else {
                if case .success(let pair) = result {
                    pair.requests.close(.lost("too late"))
                    pair.receiver.close(.lost("too late"))
                }
                return
            }
            switch result {
            case .failure(let error):
                self.fail(error, attempt: number)
            case .success(let pair):
                self.attempt.requests = pair.requests
                self.attempt.receiver = pair.receiver
                pair.requests.setOwner { event in
                    if case .closed(let error) = event { self.fail(error, attempt: number) }
                }
                pair.receiver.setOwner { event in self.received(event, attempt: number) }
                self.stepSucceeded(number)
            }
        }
    }

    func authenticate(_ number: Int) {
        let configuration = self.configuration
        let login = CommandArguments.login(configuration.user, configuration.password)
        let name = CommandArguments("SETNAME", "busbar:\(configuration.app)").command("CLIENT")
        let select = CommandArguments(String(configuration.database)).command("SELECT")
        let connections = [self.attempt.requests, self.attempt.receiver].compactMap(\.self)
        self.attempt.awaited = 1
        for connection in connections {
            if let login { self.request(login, on: connection, attempt: number) }
            if configuration.database != 0 { self.request(select, on: connection, attempt: number) }
            // A name is a courtesy to whoever reads CLIENT LIST: a user without the right to give one is fine.
            self.request(name, on: connection, attempt: number, tolerating: { $0.code == "NOPERM" })
        }
        self.answered(number)
    }

    func verify(_ number: Int) {
        guard let requests = self.attempt.requests else { return }
        self.attempt.awaited = 1
        for section in ["server", "replication"] {
            let info = CommandArguments(section).command("INFO")
            self.request(
                info, on: requests, attempt: number, tolerating: { $0.code == "NOPERM" },
                use: { reply in self.verify(ServerFacts(info: reply.text ?? ""), attempt: number) })
        }
        for script in LogScript.allCases {
            let load = CommandArguments("LOAD", script.text).command("SCRIPT")
            self.request(load, on: requests, attempt: number, use: { self.attempt.digests[script] = $0.text })
        }
        self.answered(number)
    }

    private func verify(_ facts: ServerFacts, attempt number: Int) {
        if facts.isCluster, let requests = self.attempt.requests {
            self.attempt.isCluster = true
            let question = CommandArguments("SLOTS").command("CLUSTER")
            self.request(
                // Why whatever it says: it is a courtesy, and MOVED alone leads to the keys.
                question, on: requests, attempt: number, tolerating: { _ in true },
                use: { reply in self.dialer.guide.heard(of: reply.clusterNodes(asked: self.dialer.host)) })
        }
        // Why a cluster's replica will do: whatever is asked of it, it names the node that holds the keys.
        if let error = facts.objection(), error.recovery == .giveUp || !self.attempt.isCluster {
            self.fail(error, attempt: number)
        }
    }

    func follow(_ number: Int) {
        guard let receiver = self.attempt.receiver else { return }
        self.attempt.awaited = self.names.count + 1
        var channels = CommandArguments(self.probeChannel)
        for name in self.names.values { channels.append(name.channel) }
        receiver.sendUnanswered(channels.command("SUBSCRIBE"))
    }

    /// All subscriptions are confirmed. Only now the streams are asked what they hold: whatever is appended after that
    /// is delivered.
    func attachAll(_ number: Int) {
        guard let requests = self.attempt.requests else { return }
        self.attempt.awaited = 1 + self.names.count
        for (stream, names) in self.names {
            self.call(self.attachCall(stream, names: names), on: requests, during: "run") { answer in
                guard number == self.attempt.number else { return }
                do {
                    switch answer {
                    case .failure(let error): throw error
                    case .success(.error(let error)): throw error.driverError(during: "run", hiding: self.secrets)
                    case .success(let reply): self.attempt.extents[stream] = try LogAnswers.extent(reply)
                    }
                    self.attached(number)
                } catch {
                    self.fail(error as? DriverError ?? .lost("\(error)"), attempt: number)
                }
            }
        }
        self.attached(number)
    }

    private func attached(_ number: Int) {
        self.attempt.awaited -= 1
        if self.attempt.awaited == 0 { self.stepSucceeded(number) }
    }

    /// Sends one request of a step; the step is done when all are answered.
    private func request(
        _ command: ByteBuffer,
        on connection: RedisConnection,
        attempt number: Int,
        tolerating isTolerable: @escaping (RedisServerError) -> Bool = { _ in false },
        use: @escaping (RedisReply) -> Void = { _ in }
    ) {
        self.attempt.awaited += 1
        connection.send(command, within: self.configuration.requestLimit) { answer in
            guard number == self.attempt.number else { return }
            switch answer {
            case .failure(let error):
                self.fail(error, attempt: number)
            case .success(.error(let error)) where !isTolerable(error):
                self.fail(error.driverError(during: "run", hiding: self.secrets), attempt: number)
            case .success(let reply):
                use(reply)
                self.answered(number)
            }
        }
    }

    private func answered(_ number: Int) {
        guard number == self.attempt.number else { return }
        self.attempt.awaited -= 1
        if self.attempt.awaited == 0 { self.stepSucceeded(number) }
    }
}
