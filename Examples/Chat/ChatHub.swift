public import BusbarHub
import BusbarProtocol
import FoundationEssentials

/// The sample's hub; `CONTRACT.md` beside this file says what each method does and who hears it.
public struct ChatHub: Hub {
    public let call: HubCall
    private let node: String

    public init(_ call: HubCall) {
        self.init(call, node: "")
    }

    /// - Parameter node: what the page shows as the node a user is connected to.
    public init(_ call: HubCall, node: String) {
        self.call = call
        self.node = node
    }

    public static var methods: [HubMethod<Self>] {
        [
            HubMethod("send", send),
            HubMethod("introduce", introduce),
            HubMethod("say", say),
            HubMethod("join", join),
            HubMethod("leave", leave),
            HubMethod("sayTo", sayTo),
            HubMethod("count", count),
            HubMethod("ask", ask),
            HubMethod("echo", echo),
            HubMethod("fail", fail),
            HubMethod("crash", crash),
        ]
    }

    public func connected() async throws {
        try await self.groups.add(self.context.id, to: Audience.plain)
    }

    private func send(_ text: String) async throws {
        try await self.clients.all.messageReceived(text)
    }

    private func introduce(_ name: String) async throws -> Introduction {
        let name = try Self.label(name, orFail: "A name has 1 to 40 characters.")
        if self.context.items[.name] == nil {
            try await self.groups.remove(self.context.id, from: Audience.plain)
            try await self.groups.add(self.context.id, to: Audience.introduced)
        }
        self.context.items[.name] = name
        // Why there too: a classic client brings it along with every call, to whatever node that comes.
        self.clients.callerState.name = name
        return Introduction(
            connectionId: self.context.id,
            node: self.node,
            transport: self.context.transport.rawValue
        )
    }

    private func say(_ text: String) async throws {
        try await self.clients.group(Audience.introduced).said(self.line(text, in: nil))
        try await self.clients.group(Audience.plain).messageReceived(text)
    }

    private func join(_ room: String) async throws {
        try await self.groups.add(self.context.id, to: Self.group(ofRoom: room))
    }

    private func leave(_ room: String) async throws {
        try await self.groups.remove(self.context.id, from: Self.group(ofRoom: room))
    }

    private func sayTo(_ room: String, _ text: String) async throws {
        let group = try Self.group(ofRoom: room)
        try await self.clients.group(group).said(self.line(text, in: Self.trimmed(room)))
    }

    private func count(_ limit: Int, progress: ProgressReporter<Int>) async throws -> Int {
        guard (1...100).contains(limit) else { throw HubError("Count to a number from 1 to 100.") }
        for number in 1...limit { try await progress.report(number) }
        return limit
    }

    private func ask(_ connectionId: String, _ question: String) async throws -> JSONNode {
        do throws(HubSendError) {
            return try await self.clients.client(connectionId).asked.invoke(question, returning: JSONNode.self)
        } catch {
            throw HubError("\(error)")
        }
    }

    private func echo(_ value: JSONNode) -> JSONNode {
        value
    }

    private func fail(_ text: String) throws {
        throw HubError(text)
    }

    private func crash() throws {
        throw Crash(detail: "secret of the server")
    }

    private func line(_ text: String, in room: String?) throws -> ChatLine {
        guard let name = self.context.items[.name] ?? self.nameInState else {
            throw HubError("Introduce yourself first: call introduce(name).")
        }
        return ChatLine(connectionId: self.context.id, name: name, room: room, text: text, at: Date.now.ISO8601Format())
    }

    /// The name that a classic client kept for us, if it can be one.
    private var nameInState: String? {
        let name: String? = self.clients.callerState.name
        return name.flatMap { try? Self.label($0, orFail: "") }
    }

    private static func group(ofRoom room: String) throws -> String {
        "room:" + (try self.label(room, orFail: "A room name has 1 to 40 characters."))
    }

    private static func label(_ text: String, orFail complaint: String) throws -> String {
        let text = self.trimmed(text)
        guard (1...40).contains(text.count) else { throw HubError(complaint) }
        return text
    }

    private static func trimmed(_ text: String) -> String {
        var text = text[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}

extension ChatHub {
    private enum Audience {
        static let plain = "plain"
        static let introduced = "introduced"
    }

    private struct Crash: Error {
        let detail: String
    }

    struct Introduction: Encodable, Sendable {
        let connectionId: String
        let node: String
        let transport: String
    }

    struct ChatLine: Encodable, Sendable {
        let connectionId: String
        let name: String
        let room: String?
        let text: String
        let at: String

        // Why: the page reads `room: null`, which a synthesized encoding would leave out.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.connectionId, forKey: .connectionId)
            try container.encode(self.name, forKey: .name)
            try container.encode(self.room, forKey: .room)
            try container.encode(self.text, forKey: .text)
            try container.encode(self.at, forKey: .at)
        }

        private enum CodingKeys: String, CodingKey {
            case connectionId, name, room, text, at
        }
    }
}

extension ItemKey where Value == String {
    fileprivate static var name: Self { ItemKey("name") }
}
