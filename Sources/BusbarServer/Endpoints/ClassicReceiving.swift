import BusbarHub
import BusbarProtocol
import NIOCore

/// Receive requests of classic clients: what opens the way from the server to the client, by transport.
extension Router {
    func receive(
        _ id: String, _ route: ClassicRoute, _ transport: ClassicTransport, _ hubs: [RegisteredHub],
        _ call: HubRequest
    ) -> Reaction {
        if transport == .webSockets, !call.http.asksForWebSocket { return .respond(.text(400, Text.notUpgrade)) }
        var opening: ClassicOpening
        do throws(ProtocolError) {
            opening = ClassicOpening(
                kind: try self.kind(of: route, transport, call),
                identity: call.identity(id: id, transport.asSeenByHubs, userID: self.configuration.userID),
                hubs: hubs, delayedStart: ClassicVersion.resolve(call.query["clientProtocol"]).isDelayedStart,
                groupsToken: try self.value("groupsToken", of: call, transport))
            if case .reconnect(let cursor) = opening.kind { try self.check(cursor) }
            if case .poll(let cursor) = opening.kind { try self.check(cursor) }
        } catch {
            return .respond(.text(400, error.detail))
        }
        switch transport {
        case .webSockets:
            return self.upgrade(opening, call)
        case .serverSentEvents:
            return self.stream(
                opening, .serverSentEvents, "text/event-stream", ClassicFraming.eventStreamPreamble)
        case .foreverFrame:
            guard let frameID = Self.frameID(call.query["frameId"]) else {
                return .respond(.text(400, Text.badFrame))
            }
            return self.stream(
                opening, .foreverFrame, "text/html; charset=UTF-8",
                ClassicFraming.foreverFramePreamble(frameID: frameID))
        case .longPolling:
            switch self.callback(of: call) {
            case .none: return self.stream(opening, .longPolling, Self.jsonType)
            case .invalid: return .respond(.text(400, Text.badCallback))
            case .valid(let name):
                opening.callback = name
                return self.stream(opening, .longPolling, Self.javaScript)
            }
        }
    }

    private func kind(
        of route: ClassicRoute, _ transport: ClassicTransport, _ call: HubRequest
    ) throws(ProtocolError) -> ClassicOpening.Kind {
        if route == .connect { return .connect }
        let cursor = try self.value("messageId", of: call, transport)
        return transport == .longPolling && route != .reconnect ? .poll(cursor: cursor) : .reconnect(cursor: cursor)
    }

    /// A parameter of the query, or, of a long poll that doesn't have it there, of its form.
    private func value(
        _ name: String, of call: HubRequest, _ transport: ClassicTransport
    ) throws(ProtocolError) -> String? {
        transport == .longPolling ? try call.value(name) : call.query[name]
    }

    private func check(_ cursor: String?) throws(ProtocolError) {
        do throws(MalformedClassicCursor) {
            try self.runtime.classic.checkCursor(cursor)
        } catch {
            throw ProtocolError(.invalidProperty, Text.badCursor)
        }
    }

    /// Digits and nothing else, of a number of 32 bits.
    private static func frameID(_ text: String?) -> UInt32? {
        guard let text, !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt32(text)
    }

    private func upgrade(_ opening: ClassicOpening, _ call: HubRequest) -> Reaction {
        let accept: String
        switch self.accept(call) {
        case .failure(let refusal): return .respond(refusal.response)
        case .success(let text): accept = text
        }
        let limit = self.runtime.configuration.classic.maximumWebSocketMessageBytes
        return .upgrade(
            WebSocketAcceptance(
                accept: accept, limits: WebSocketLimits(reading: .text(limitBytes: limit)),
                attach: self.attachment(opening, .webSocket)))
    }

    private func stream(
        _ opening: ClassicOpening, _ framing: ClassicFraming, _ contentType: String,
        _ preamble: ByteBuffer = ByteBuffer()
    ) -> Reaction {
        guard self.runtime.classic.isOpen else { return .respond(.text(503, Text.stopping)) }
        var response = HTTPResponse(status: 200, contentType: contentType, body: preamble)
        // Why: proxies are known that hold an answer back until it is whole.
        response.add("X-Accel-Buffering", "no")
        return .stream(StreamAcceptance(response: response, attach: self.attachment(opening, framing)))
    }

    private func attachment(
        _ opening: ClassicOpening, _ framing: ClassicFraming
    ) -> @Sendable (any Outlet, any EventLoop) -> TransportSession {
        let classic = self.runtime.classic
        return { outlet, loop in
            classic.open(opening, outlet: outlet, framing: framing, on: loop).map { .classic($0) } ?? .refused
        }
    }
}

extension ClassicTransport {
    fileprivate var asSeenByHubs: ConnectionTransport {
        switch self {
        case .webSockets: .webSockets
        case .serverSentEvents: .serverSentEvents
        case .foreverFrame: .foreverFrame
        case .longPolling: .longPolling
        }
    }
}
