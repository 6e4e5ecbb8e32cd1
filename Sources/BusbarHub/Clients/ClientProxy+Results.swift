import BusbarProtocol

extension ClientProxy {
    /// Calls the method `name` of one client and returns what that answers.
    ///
    /// The client may be on any node. Its call keeps its place among the messages it is sent. Other calls of the client
    /// go on, but not those of a connection that asks from a call or event of its own: they wait behind that.
    ///
    /// ```swift
    /// let isSure = try await clients.client(id).confirm.invoke("Delete it?", returning: Bool.self)
    /// ```
    /// - Parameters:
    ///   - result: what the answer is read as; a client that returns nothing answers null.
    ///   - timeout: how long the client may take; ``HubConfiguration/Core/clientResultTimeout`` unless given.
    /// - Throws: ``HubSendError``. Before anything is sent: `emptyName`, `tooLarge`, `argumentNotEncodable`, and
    ///   `notOneClient` unless this is `client(_:)` or `caller`. From the client: `clientFailed`, `resultMismatch`,
    ///   `resultsUnsupported`. At once: `noSuchConnection`, `disconnected`, `blocked`, `overloaded`, `withheld`. As soon as
    ///   it is known: `nodeGone`. Else `timedOut`, or `cancelled` when the calling task is; the client isn't told of either.
    public func invoke<each Argument: Encodable & Sendable, Result: Decodable & Sendable>(
        _ name: String,
        _ arguments: repeat each Argument,
        returning result: Result.Type,
        timeout: Duration? = nil
    ) async throws(HubSendError) -> Result {
        let value = try await self.answer(name, repeat each arguments, timeout: timeout)
        do throws(JSONCodingError) {
            return try value.decode(result)
        } catch {
            throw HubSendError(.resultMismatch, "the client's result is no \(Result.self): \(error.detail)")
        }
    }

    /// Calls the method `name` of one client and returns when that has answered, whatever with.
    /// - Throws: as ``invoke(_:_:returning:timeout:)``.
    public func invoke<each Argument: Encodable & Sendable>(
        _ name: String,
        _ arguments: repeat each Argument,
        timeout: Duration? = nil
    ) async throws(HubSendError) {
        _ = try await self.answer(name, repeat each arguments, timeout: timeout)
    }

    private func answer<each Argument: Encodable & Sendable>(
        _ name: String, _ arguments: repeat each Argument, timeout: Duration?
    ) async throws(HubSendError) -> CallValue {
        try HubName.check(name, is: "a method name")
        try self.target.check()
        guard case .one(.connection(let id)) = self.target else {
            throw HubSendError(.notOneClient, "only one client can answer: ask client(_:) or the caller")
        }
        let list: ArgumentList
        do throws(JSONCodingError) {
            list = try ArgumentList(encoding: repeat each arguments)
        } catch {
            throw HubSendError(.argumentNotEncodable, "arguments of \(name): \(error.detail)")
        }
        let publisher = self.sender.publisher
        let invocation = ClientInvocation(
            hub: self.sender.hub, connectionID: id, call: ClientCall(method: name, arguments: list),
            timeout: timeout ?? publisher.clientResultTimeout, isFromOwnCall: self.sender.callerID == id)
        switch try await publisher.invoke(invocation) {
        case .nothing: return .json(.null)
        case .value(let value): return value
        case .failed(let text): throw HubSendError(.clientFailed, text)
        }
    }
}

extension ClientMethod {
    /// Calls the method of one client and returns what that answers; see ``ClientProxy/invoke(_:_:returning:timeout:)``.
    public func invoke<each Argument: Encodable & Sendable, Result: Decodable & Sendable>(
        _ arguments: repeat each Argument, returning result: Result.Type, timeout: Duration? = nil
    ) async throws(HubSendError) -> Result {
        try await self.proxy.invoke(self.name, repeat each arguments, returning: result, timeout: timeout)
    }

    /// Calls the method of one client and returns when that has answered, whatever with.
    public func invoke<each Argument: Encodable & Sendable>(
        _ arguments: repeat each Argument, timeout: Duration? = nil
    ) async throws(HubSendError) {
        try await self.proxy.invoke(self.name, repeat each arguments, timeout: timeout)
    }
}
