import NIOCore

/// The elements of one core message in MessagePack, read one after the other.
struct PackedFields {
    private let record: ByteBuffer
    private var scanner: PackedScanner
    /// Elements that have not been read.
    private var left: Int
    private(set) var type = 0

    init(_ raw: UnsafeRawBufferPointer, of record: ByteBuffer) throws(ProtocolError) {
        self.record = record
        self.scanner = PackedScanner(raw)
        self.left = 0
        let head = try self.read("the message") { scanner throws(JSONCodingError) in try scanner.next() }
        guard case .array(let count) = head else { throw ProtocolError(.malformed, "hub message: must be an array") }
        guard count > 0 else { throw ProtocolError(.missingProperty, "hub message: the type is missing") }
        self.left = count - 1
        self.type = try self.read("the type") { scanner throws(JSONCodingError) in
            Int(try scanner.readInteger() as Int32)
        }
    }

    /// Whether there are no more elements.
    var isAtEnd: Bool { self.left == 0 }

    /// Steps over the elements that are left. Nothing may stand behind them.
    mutating func finish() throws(ProtocolError) {
        while self.left > 0 {
            _ = try self.element("a further element") { scanner throws(JSONCodingError) in try scanner.skipValue() }
        }
        guard self.scanner.isAtEnd else { throw ProtocolError(.malformed, "hub message: bytes after the end") }
    }

    func missing(_ name: StaticString) -> ProtocolError {
        ProtocolError(.missingProperty, "type \(self.type): the \(name) is missing or empty")
    }

    // MARK: Kinds of elements

    mutating func string(_ name: StaticString) throws(ProtocolError) -> String {
        try self.element(name) { scanner throws(JSONCodingError) in try scanner.readString() }
    }

    mutating func optionalString(_ name: StaticString) throws(ProtocolError) -> String? {
        try self.element(name) { scanner throws(JSONCodingError) in
            try scanner.takeNull() ? nil : try scanner.readString()
        }
    }

    mutating func bool(_ name: StaticString) throws(ProtocolError) -> Bool {
        try self.element(name) { scanner throws(JSONCodingError) in try scanner.readBool() }
    }

    mutating func number<Integer: FixedWidthInteger>(_ name: StaticString) throws(ProtocolError) -> Integer {
        try self.element(name) { scanner throws(JSONCodingError) in try scanner.readInteger() }
    }

    /// Any value, shared with the record.
    mutating func value(_ name: StaticString) throws(ProtocolError) -> CallValue {
        let range = try self.element(name) { scanner throws(JSONCodingError) in try scanner.skipValue() }
        return .messagePack(PackedValue(unchecked: self.record.slice(range)))
    }

    /// The invocation id, which must be there and not be empty.
    mutating func id() throws(ProtocolError) -> String {
        guard let id = try self.optionalString("invocation id"), !id.isEmpty else {
            throw self.missing("invocation id")
        }
        return id
    }

    // MARK: What messages have in common

    mutating func headers() throws(ProtocolError) -> [(name: String, value: String)] {
        try self.element("headers") { scanner throws(JSONCodingError) in
            let start = scanner.offset
            guard case .map(let count) = try scanner.next() else { throw .mismatch(at: start, expected: "a map") }
            try Self.checkCount(count)
            var headers: [(name: String, value: String)] = []
            for _ in 0..<count {
                let name = try scanner.readString()
                headers.removeAll { $0.name == name }
                headers.append((name, try scanner.readString()))
            }
            return headers
        }
    }

    mutating func invocation() throws(ProtocolError) -> CoreInvocation {
        let headers = try self.headers()
        let id = try self.optionalString("invocation id")
        let target = try self.string("target")
        guard !target.isEmpty else { throw self.missing("target") }
        let arguments = try self.arguments()
        return CoreInvocation(
            target: target, arguments: arguments, invocationID: id?.isEmpty == true ? nil : id,
            streamIDs: self.isAtEnd ? [] : try self.streams(), headers: headers)
    }

    mutating func result() throws(ProtocolError) -> CoreResult {
        switch try self.number("result kind") as Int32 {
        case 1: return .error(try self.string("error"))
        case 2: return .void
        case 3: return .value(try self.value("result"))
        case let kind: throw ProtocolError(.invalidProperty, "a completion is of kind 1, 2 or 3, not \(kind)")
        }
    }

    private mutating func arguments() throws(ProtocolError) -> CallArguments {
        let (count, range) = try self.element("arguments") { scanner throws(JSONCodingError) in
            let start = scanner.offset
            guard case .array(let count) = try scanner.next() else { throw .mismatch(at: start, expected: "an array") }
            let first = scanner.offset
            for _ in 0..<count { try scanner.skipValue() }
            return (count, first..<scanner.offset)
        }
        return .messagePack(PackedArguments(unchecked: self.record.slice(range), count: count))
    }

    private mutating func streams() throws(ProtocolError) -> [String] {
        try self.element("stream ids") { scanner throws(JSONCodingError) in
            let start = scanner.offset
            guard case .array(let count) = try scanner.next() else { throw .mismatch(at: start, expected: "an array") }
            try Self.checkCount(count)
            var streams: [String] = []
            for _ in 0..<count { streams.append(try scanner.readString()) }
            return streams
        }
    }

    private static func checkCount(_ count: Int) throws(JSONCodingError) {
        guard count <= CoreJSON.listLimit else {
            throw JSONCodingError(.limitExceeded, "more than \(CoreJSON.listLimit) of a kind in one message")
        }
    }

    // MARK: Reading

    private mutating func element<Value>(
        _ name: StaticString, _ body: (inout PackedScanner) throws(JSONCodingError) -> Value
    ) throws(ProtocolError) -> Value {
        guard self.left > 0 else { throw self.missing(name) }
        self.left -= 1
        return try self.read(name, body)
    }

    private mutating func read<Value>(
        _ name: StaticString, _ body: (inout PackedScanner) throws(JSONCodingError) -> Value
    ) throws(ProtocolError) -> Value {
        do throws(JSONCodingError) {
            return try body(&self.scanner)
        } catch {
            let code: ProtocolError.Code =
                switch error.code {
                case .limitExceeded: .limitExceeded
                case .malformed: .malformed
                default: .invalidProperty
                }
            throw ProtocolError(code, "type \(self.type): \(name): \(error.detail)")
        }
    }
}
