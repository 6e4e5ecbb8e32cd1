import Busbar
import BusbarProtocol
package import NIOCore

/// Why bytes from the bus are no record of ours. Such a record is counted and dropped.
package struct HubRecordError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure. Open: new codes may appear.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let name: String

        private init(_ name: String) { self.name = name }

        package var description: String { self.name }

        /// A version or a kind that a newer node wrote.
        package static let unknown = Self("unknown")
        /// The bytes end too early.
        package static let truncated = Self("truncated")
        /// The bytes are there and do not say what they should.
        package static let malformed = Self("malformed")
    }

    package let code: Code
    package let detail: String

    init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    package var description: String { "\(self.code): \(self.detail)" }
}

extension HubRecord {
    /// Reads a record that some node published. Arguments and state are slices of `bytes`, checked to be JSON.
    package init(decoding bytes: ByteBuffer) throws(HubRecordError) {
        var reader = HubRecordReader(bytes: bytes)
        let version = try reader.integer(UInt8.self)
        guard version == HubRecordFormat.version else {
            throw HubRecordError(.unknown, "version \(version), this node reads \(HubRecordFormat.version)")
        }
        let code = try reader.integer(UInt8.self)
        guard let kind = HubRecordFormat.Kind(rawValue: code) else { throw HubRecordError(.unknown, "kind \(code)") }
        let hub = try reader.name()
        switch kind {
        case .message: self = .message(try reader.message(hub: hub))
        case .groupAdd: self = try reader.groupCommand(.add, hub: hub)
        case .groupRemove: self = try reader.groupCommand(.remove, hub: hub)
        case .value: self = .message(try reader.value(hub: hub))
        case .progress: self = .message(try reader.progress(hub: hub))
        case .invocation: self = try reader.invocation(hub: hub)
        }
        try reader.finish()
    }
}

private struct HubRecordReader {
    private var bytes: ByteBuffer

    init(bytes: ByteBuffer) { self.bytes = bytes }

    mutating func message(hub: String) throws(HubRecordError) -> HubMessage {
        let audience = try self.audience()
        return HubMessage(hub: hub, audience: audience, body: .call(try self.call()))
    }

    mutating func invocation(hub: String) throws(HubRecordError) -> HubRecord {
        let connectionID = try self.name()
        let requester = try self.requester()
        let timeout = try self.integer(UInt32.self), own = try self.integer(UInt8.self)
        let invocation = ClientInvocation(
            hub: hub, connectionID: connectionID, call: try self.call(), timeoutMilliseconds: timeout,
            isFromOwnCall: own != 0)
        return .invocation(invocation, requester: requester)
    }

    private mutating func call() throws(HubRecordError) -> ClientCall {
        let method = try self.name()
        guard !method.isEmpty else { throw HubRecordError(.malformed, "a message without a method") }
        let (argumentsText, state, marks) = try self.textAndState()
        let arguments: ArgumentList
        do throws(JSONCodingError) {
            arguments = try ArgumentList(validating: argumentsText, marks: marks)
        } catch {
            throw HubRecordError(.malformed, "arguments: \(error.detail)")
        }
        return ClientCall(method: method, arguments: arguments, callerState: state)
    }

    mutating func value(hub: String) throws(HubRecordError) -> HubMessage {
        let audience = try self.audience()
        return HubMessage(hub: hub, audience: audience, body: .value(try Self.value(try self.text())))
    }

    mutating func progress(hub: String) throws(HubRecordError) -> HubMessage {
        let audience = try self.audience()
        let id = try self.name()
        let (text, state, _) = try self.textAndState()
        let report = ProgressReport(invocationID: id, value: try Self.value(text), callerState: state)
        return HubMessage(hub: hub, audience: audience, body: .progress(report))
    }

    private mutating func textAndState() throws(HubRecordError) -> (ByteBuffer, JSONValueText?, [JSONMark]) {
        let flags = try self.integer(UInt8.self)
        guard flags & ~(HubRecordFormat.hasCallerState | HubRecordFormat.hasMarks) == 0 else {
            throw HubRecordError(.unknown, "flags \(flags)")
        }
        let text = try self.text()
        let state = flags & HubRecordFormat.hasCallerState == 0 ? nil : try Self.value(try self.text())
        return (text, state, flags & HubRecordFormat.hasMarks == 0 ? [] : try self.marks())
    }

    private mutating func marks() throws(HubRecordError) -> [JSONMark] {
        let count = Int(try self.integer(UInt32.self))
        guard count <= self.bytes.readableBytes / HubRecordFormat.markBytes else {
            throw HubRecordError(.truncated, "\(count) marks")
        }
        var marks: [JSONMark] = []
        marks.reserveCapacity(count)
        for _ in 0..<count {
            let offset = try self.integer(UInt32.self), code = try self.integer(UInt8.self)
            guard let kind = JSONMark.Kind(rawValue: code) else { throw HubRecordError(.unknown, "mark \(code)") }
            marks.append(JSONMark(offset: offset, kind: kind))
        }
        return marks
    }

    private static func value(_ text: ByteBuffer) throws(HubRecordError) -> JSONValueText {
        do throws(JSONCodingError) {
            return try JSONValueText(validating: text)
        } catch {
            throw HubRecordError(.malformed, "value or state: \(error.detail)")
        }
    }

    mutating func groupCommand(_ action: GroupChange.Action, hub: String) throws(HubRecordError) -> HubRecord {
        let group = try self.name()
        let connectionID = try self.name()
        return .groupCommand(
            GroupChange(action, hub: hub, group: group, connectionID: connectionID),
            requester: try self.requester()
        )
    }

    private mutating func requester() throws(HubRecordError) -> Requester {
        guard let key = self.bytes.readRequestKey(), let duty = self.bytes.readAnswerDuty() else {
            throw HubRecordError(.malformed, "a record without a requester")
        }
        return Requester(key: key, duty: duty)
    }

    mutating func name() throws(HubRecordError) -> String {
        let length = Int(try self.integer(UInt16.self))
        guard length <= self.bytes.readableBytes else { throw HubRecordError(.truncated, "a name of \(length) bytes") }
        // Why: repairing invalid bytes could turn two different groups into one.
        guard let name = try? self.bytes.readUTF8ValidatedString(length: length) else {
            throw HubRecordError(.malformed, "a name that is not UTF-8")
        }
        return name
    }

    mutating func integer<Integer: FixedWidthInteger>(_ type: Integer.Type) throws(HubRecordError) -> Integer {
        guard let value = self.bytes.readInteger(as: type) else {
            throw HubRecordError(.truncated, "a number of \(Integer.bitWidth / 8) bytes")
        }
        return value
    }

    func finish() throws(HubRecordError) {
        guard self.bytes.readableBytes == 0 else {
            throw HubRecordError(.malformed, "\(self.bytes.readableBytes) bytes after the end")
        }
    }

    private mutating func audience() throws(HubRecordError) -> Audience {
        let code = try self.integer(UInt8.self)
        switch HubRecordFormat.AudienceKind(rawValue: code) {
        case .all: return .all(except: try self.names())
        case .connection: return .connection(try self.name())
        case .group: return .group(try self.name(), except: try self.names())
        case .user: return .user(try self.name())
        case nil: throw HubRecordError(.unknown, "audience \(code)")
        }
    }

    private mutating func names() throws(HubRecordError) -> [String] {
        let count = Int(try self.integer(UInt16.self))
        guard count > 0 else { return [] }
        // Why: two bytes of length each, so that a few bytes cannot announce thousands of names.
        guard count * 2 <= self.bytes.readableBytes else { throw HubRecordError(.truncated, "\(count) names") }
        var names: [String] = []
        names.reserveCapacity(count)
        for _ in 0..<count { names.append(try self.name()) }
        return names
    }

    private mutating func text() throws(HubRecordError) -> ByteBuffer {
        let length = Int(try self.integer(UInt32.self))
        guard length <= HubRecordFormat.largestBytes, let text = self.bytes.readSlice(length: length) else {
            throw HubRecordError(.truncated, "a text of \(length) bytes")
        }
        return text
    }
}
