package import NIOCore

/// The binary form, big-endian; names are two bytes of length and UTF-8, bodies four bytes of length:
///
///     version(1) kind(1)
///     sign:      kind(1) node name
///     request:   key duty subject(name) kind(1) body
///     roll call: key subject(name)
///     moved:     connection(name) node
///     ended:     connection(name) node
///     began:     connection(name) node
///     replies:   to(node) from(node) count(4) [number(8) verdict(1) [body | code(name) detail(name)]]…
///
/// A node is 12 bytes, a key a node and 8, a duty one byte and, unless it is everyone's, a node. Whoever meets a version
/// or kind it does not know drops the record.
extension NodeRecord {
    private static let version: UInt8 = 1

    // Why from 64 on: a record of a hub runtime begins with the same two bytes and has smaller kinds.
    private enum Kind: UInt8 { case sign = 64, request, rollCall, moved, replies, ended, began }

    /// Whether the bytes begin as such a record does.
    package static func isOne(_ bytes: ByteBuffer) -> Bool {
        bytes.getInteger(at: bytes.readerIndex + 1, as: UInt8.self).map { $0 >= Kind.sign.rawValue } ?? false
    }

    package func encoded() -> ByteBuffer {
        var bytes = ByteBuffer()
        switch self {
        case .sign(let sign):
            bytes.writeMultipleIntegers(Self.version, Kind.sign.rawValue, sign.kind.rawValue)
            bytes.write(sign.node)
            bytes.writeName(sign.name)
        case .request(let request):
            bytes.writeMultipleIntegers(Self.version, Kind.request.rawValue)
            bytes.write(request.key)
            bytes.write(request.duty)
            bytes.writeName(request.subject)
            bytes.writeInteger(request.kind)
            bytes.writeBody(request.body)
        case .rollCall(let key, let subject):
            bytes.writeMultipleIntegers(Self.version, Kind.rollCall.rawValue)
            bytes.write(key)
            bytes.writeName(subject)
        case .moved(let id, let node):
            bytes.writeMultipleIntegers(Self.version, Kind.moved.rawValue)
            bytes.writeName(id)
            bytes.write(node)
        case .ended(let id, let node):
            bytes.writeMultipleIntegers(Self.version, Kind.ended.rawValue)
            bytes.writeName(id)
            bytes.write(node)
        case .began(let id, let node):
            bytes.writeMultipleIntegers(Self.version, Kind.began.rawValue)
            bytes.writeName(id)
            bytes.write(node)
        case .replies(let replies):
            bytes.writeMultipleIntegers(Self.version, Kind.replies.rawValue)
            bytes.write(replies.to)
            bytes.write(replies.from)
            bytes.writeInteger(UInt32(clamping: replies.entries.count))
            for entry in replies.entries { bytes.write(entry) }
        }
        return bytes
    }

    /// Reads what some node published; nil if it is none of ours.
    package init?(decoding bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readInteger(as: UInt8.self) == Self.version,
            let kind = bytes.readInteger(as: UInt8.self).flatMap(Kind.init(rawValue:)),
            let record = Self.read(kind, &bytes), bytes.readableBytes == 0
        else { return nil }
        self = record
    }

    private static func read(_ kind: Kind, _ bytes: inout ByteBuffer) -> Self? {
        switch kind {
        case .sign:
            guard let kind = bytes.readInteger(as: UInt8.self).flatMap(NodeSign.Kind.init(rawValue:)),
                let node = bytes.readNode(), let name = bytes.readName()
            else { return nil }
            return .sign(NodeSign(node: node, kind: kind, name: name))
        case .request:
            guard let key = bytes.readRequestKey(), let duty = bytes.readAnswerDuty(), let subject = bytes.readName(),
                let kind = bytes.readInteger(as: UInt8.self), let body = bytes.readBody()
            else { return nil }
            return .request(NodeRequest(key: key, duty: duty, subject: subject, kind: kind, body: body))
        case .rollCall:
            guard let key = bytes.readRequestKey(), let subject = bytes.readName() else { return nil }
            return .rollCall(key, subject: subject)
        case .moved:
            guard let id = bytes.readName(), let node = bytes.readNode() else { return nil }
            return .moved(connectionID: id, to: node)
        case .ended:
            guard let id = bytes.readName(), let node = bytes.readNode() else { return nil }
            return .ended(connectionID: id, on: node)
        case .began:
            guard let id = bytes.readName(), let node = bytes.readNode() else { return nil }
            return .began(connectionID: id, on: node)
        case .replies:
            guard let to = bytes.readNode(), let from = bytes.readNode(),
                let count = bytes.readInteger(as: UInt32.self),
                // Why: nine bytes each at least, so that a few bytes can't announce millions.
                Int(count) * 9 <= bytes.readableBytes
            else { return nil }
            var entries: [NodeReplies.Entry] = []
            for _ in 0..<count {
                guard let entry = bytes.readReply() else { return nil }
                entries.append(entry)
            }
            return .replies(NodeReplies(to: to, from: from, entries: entries))
        }
    }
}

extension ByteBuffer {
    package mutating func write(_ key: RequestKey) {
        self.write(key.node)
        self.writeInteger(key.number)
    }

    package mutating func readRequestKey() -> RequestKey? {
        guard let node = self.readNode(), let number = self.readInteger(as: UInt64.self) else { return nil }
        return RequestKey(node: node, number: number)
    }

    package mutating func write(_ duty: AnswerDuty) {
        switch duty {
        case .everyone: self.writeInteger(UInt8(0))
        case .only(let node):
            self.writeInteger(UInt8(1))
            self.write(node)
        case .named(let node):
            self.writeInteger(UInt8(2))
            self.write(node)
        }
    }

    package mutating func readAnswerDuty() -> AnswerDuty? {
        switch self.readInteger(as: UInt8.self) {
        case 0: .everyone
        case 1: self.readNode().map { .only($0) }
        case 2: self.readNode().map { .named($0) }
        default: nil
        }
    }

    fileprivate mutating func write(_ node: NodeID) {
        self.writeMultipleIntegers(node.process, node.incarnation)
    }

    fileprivate mutating func readNode() -> NodeID? {
        guard let (process, incarnation) = self.readMultipleIntegers(as: (UInt64, UInt32).self) else { return nil }
        return NodeID(process: process, incarnation: incarnation)
    }

    fileprivate mutating func write(_ entry: NodeReplies.Entry) {
        self.writeInteger(entry.number)
        switch entry.verdict {
        case .declined:
            self.writeInteger(UInt8(0))
        case .coming:
            self.writeInteger(UInt8(3))
        case .answer(.done(let body)):
            self.writeInteger(UInt8(1))
            self.writeBody(body)
        case .answer(.refused(let code, let detail)):
            self.writeInteger(UInt8(2))
            self.writeName(code)
            self.writeName(detail)
        }
    }

    fileprivate mutating func readReply() -> NodeReplies.Entry? {
        guard let (number, verdict) = self.readMultipleIntegers(as: (UInt64, UInt8).self) else { return nil }
        switch verdict {
        case 0:
            return NodeReplies.Entry(number: number, verdict: .declined)
        case 1:
            return self.readBody().map { NodeReplies.Entry(number: number, verdict: .answer(.done($0))) }
        case 2:
            guard let code = self.readName(), let detail = self.readName() else { return nil }
            return NodeReplies.Entry(number: number, verdict: .answer(.refused(code: code, detail: detail)))
        case 3:
            return NodeReplies.Entry(number: number, verdict: .coming)
        default:
            return nil
        }
    }

    /// What is longer than a length can say is cut: names of ours are shorter.
    fileprivate mutating func writeName(_ name: String) {
        var name = name
        name.makeContiguousUTF8()
        let bytes = name.utf8.prefix(Int(UInt16.max))
        self.writeInteger(UInt16(bytes.count))
        self.writeBytes(bytes)
    }

    fileprivate mutating func readName() -> String? {
        guard let length = self.readInteger(as: UInt16.self), Int(length) <= self.readableBytes else { return nil }
        return try? self.readUTF8ValidatedString(length: Int(length))
    }

    fileprivate mutating func writeBody(_ body: ByteBuffer) {
        self.writeInteger(UInt32(clamping: body.readableBytes))
        self.writeImmutableBuffer(body)
    }

    fileprivate mutating func readBody() -> ByteBuffer? {
        guard let length = self.readInteger(as: UInt32.self), length <= NodeRecord.largestBodyBytes else { return nil }
        return self.readSlice(length: Int(length))
    }
}
