import Busbar
import BusbarProtocol
package import NIOCore

/// The binary form of a record, big-endian:
///
///     version(1) kind(1) hub
///     message:       audience(1) [name] [exceptCount(2) except…] method flags(1) arguments(4+) [callerState(4+)]
///                    [markCount(4) (offset(4) kind(1))…]
///     value:         audience(1) [name] [exceptCount(2) except…] value(4+)
///     progress:      audience(1) name invocationID flags(1) value(4+) [callerState(4+)]
///     group change:  group connectionID key(20) duty(1 or 13)
///     invocation:    connectionID key(20) duty(1 or 13) timeout(4) isFromOwnCall(1) method, and on as a message
///
/// Names are two bytes of length and UTF-8. A node that meets a version or kind it does not know drops the record.
enum HubRecordFormat {
    static let version: UInt8 = 1

    /// The largest record, in bytes.
    static let largestBytes = 16 << 20

    enum Kind: UInt8 {
        case message = 1, groupAdd, groupRemove
        case value = 16, progress
        case invocation = 32
    }
    enum AudienceKind: UInt8 { case all = 1, connection, group, user }

    /// Set if a caller's state follows the arguments.
    static let hasCallerState: UInt8 = 1
    /// Set if marks of the arguments follow.
    static let hasMarks: UInt8 = 2
    /// The bytes of one mark.
    static let markBytes = 5
}

extension HubRecord {
    /// The bytes to publish.
    /// - Throws: ``HubSendError`` `tooLarge` if a name, the exceptions or the whole are beyond what the form can hold.
    package func encoded() throws(HubSendError) -> ByteBuffer {
        var writer = HubRecordWriter(estimatedBytes: self.estimatedBytes)
        switch self {
        case .message(let message):
            writer.write(message)
        case .groupCommand(let change, let requester):
            writer.begin(change.action == .add ? .groupAdd : .groupRemove, hub: change.hub)
            writer.write(name: change.group)
            writer.write(name: change.connectionID)
            writer.buffer.write(requester.key)
            writer.buffer.write(requester.duty)
        case .invocation(let invocation, let requester):
            writer.write(invocation, requester)
        }
        return try writer.finish()
    }

    // Why: one allocation of the right size instead of several of growing ones.
    private var estimatedBytes: Int {
        switch self {
        case .message(let message):
            64 + message.hub.utf8.count + message.body.estimatedBytes + message.audience.estimatedBytes
        case .groupCommand(let change, _):
            64 + change.hub.utf8.count + change.group.utf8.count + change.connectionID.utf8.count
        case .invocation(let invocation, _):
            128 + invocation.hub.utf8.count + invocation.connectionID.utf8.count
                + HubMessage.Body.call(invocation.call).estimatedBytes
        }
    }
}

extension HubMessage.Body {
    fileprivate var estimatedBytes: Int {
        switch self {
        case .call(let call):
            call.method.utf8.count + call.arguments.bytes.readableBytes
                + call.arguments.marks.count * HubRecordFormat.markBytes
                + (call.callerState?.bytes.readableBytes ?? 0)
        case .value(let value): value.bytes.readableBytes
        case .progress(let report):
            report.value.bytes.readableBytes + (report.callerState?.bytes.readableBytes ?? 0) + 64
        }
    }
}

extension Audience {
    fileprivate var estimatedBytes: Int {
        switch self {
        case .all(let except): except.count * 32
        case .connection(let name), .user(let name): name.utf8.count
        case .group(let name, let except): name.utf8.count + except.count * 32
        }
    }
}

private struct HubRecordWriter {
    var buffer: ByteBuffer
    private var problem: String?

    init(estimatedBytes: Int) {
        self.buffer = ByteBuffer()
        self.buffer.reserveCapacity(min(estimatedBytes, HubRecordFormat.largestBytes))
    }

    mutating func begin(_ kind: HubRecordFormat.Kind, hub: String) {
        self.buffer.writeMultipleIntegers(HubRecordFormat.version, kind.rawValue)
        self.write(name: hub)
    }

    mutating func write(_ message: HubMessage) {
        switch message.body {
        case .call(let call):
            self.begin(.message, hub: message.hub)
            self.write(message.audience)
            self.write(call)
        case .value(let value):
            self.begin(.value, hub: message.hub)
            self.write(message.audience)
            self.write(text: value.bytes)
        case .progress(let report):
            self.begin(.progress, hub: message.hub)
            self.write(message.audience)
            self.write(name: report.invocationID)
            self.write(report.value.bytes, callerState: report.callerState)
        }
    }

    mutating func write(_ invocation: ClientInvocation, _ requester: Requester) {
        self.begin(.invocation, hub: invocation.hub)
        self.write(name: invocation.connectionID)
        self.buffer.write(requester.key)
        self.buffer.write(requester.duty)
        self.buffer.writeInteger(invocation.timeoutMilliseconds)
        self.buffer.writeInteger(invocation.isFromOwnCall ? 1 : 0 as UInt8)
        self.write(invocation.call)
    }

    private mutating func write(_ call: ClientCall) {
        self.write(name: call.method)
        self.write(call.arguments.bytes, callerState: call.callerState, marks: call.arguments.marks)
    }

    private mutating func write(_ audience: Audience) {
        switch audience {
        case .all(let except):
            self.begin(.all)
            self.write(except: except)
        case .connection(let id):
            self.begin(.connection)
            self.write(name: id)
        case .group(let name, let except):
            self.begin(.group)
            self.write(name: name)
            self.write(except: except)
        case .user(let id):
            self.begin(.user)
            self.write(name: id)
        }
    }

    private mutating func write(_ text: ByteBuffer, callerState: JSONValueText?, marks: [JSONMark] = []) {
        let stateFlag = callerState == nil ? 0 : HubRecordFormat.hasCallerState
        self.buffer.writeInteger(stateFlag | (marks.isEmpty ? 0 : HubRecordFormat.hasMarks))
        self.write(text: text)
        if let callerState { self.write(text: callerState.bytes) }
        guard !marks.isEmpty else { return }
        self.buffer.writeInteger(UInt32(clamping: marks.count))
        for mark in marks { self.buffer.writeMultipleIntegers(mark.offset, mark.kind.rawValue) }
    }

    mutating func write(name: String) {
        guard let length = UInt16(exactly: name.utf8.count) else {
            self.problem = "a name has \(name.utf8.count) bytes, at most \(UInt16.max) are possible"
            return
        }
        self.buffer.writeInteger(length)
        self.buffer.writeString(name)
    }

    func finish() throws(HubSendError) -> ByteBuffer {
        if let problem = self.problem { throw HubSendError(.tooLarge, problem) }
        guard self.buffer.readableBytes <= HubRecordFormat.largestBytes else {
            throw HubSendError(.tooLarge, Self.excess("the message", self.buffer.readableBytes))
        }
        return self.buffer
    }

    private static func excess(_ what: StaticString, _ bytes: Int) -> String {
        "\(what) has \(bytes) bytes, at most \(HubRecordFormat.largestBytes) are possible"
    }

    private mutating func begin(_ audience: HubRecordFormat.AudienceKind) {
        self.buffer.writeInteger(audience.rawValue)
    }

    private mutating func write(except ids: [String]) {
        guard let count = UInt16(exactly: ids.count) else {
            self.problem = "\(ids.count) connections are excepted, at most \(UInt16.max) are possible"
            return
        }
        self.buffer.writeInteger(count)
        for id in ids { self.write(name: id) }
    }

    private mutating func write(text: ByteBuffer) {
        guard let length = UInt32(exactly: text.readableBytes), length <= HubRecordFormat.largestBytes else {
            self.problem = Self.excess("a text", text.readableBytes)
            return
        }
        self.buffer.writeInteger(length)
        self.buffer.writeImmutableBuffer(text)
    }
}
