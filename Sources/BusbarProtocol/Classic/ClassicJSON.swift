package import NIOCore

/// The JSON of the classic hub protocol: what clients send, and (in extensions) what they are sent.
package enum ClassicJSON {
    /// How deep one argument may be nested.
    package static let argumentDepthLimit = 20
    /// The longest hub state a client may send, in UTF-16 units of its text.
    package static let stateLimit = 4_096
    /// How many hubs one connection may listen to.
    package static let hubLimit = 256
}

/// A call by a classic client.
package struct ClassicInvocation: Hashable, Sendable {
    /// Hub and method as the client spells them; both are matched ignoring case, and errors quote them as they are
    /// here.
    package var hub: String
    package var method: String
    package var arguments: ArgumentList
    /// To be answered as a string, whatever it came as. Nil when no answer is wanted.
    package var invocationID: String?
    /// An object, or nil if there is none.
    package var state: JSONValueText?

    package init(
        hub: String,
        method: String,
        arguments: ArgumentList,
        invocationID: String? = nil,
        state: JSONValueText? = nil
    ) {
        self.hub = hub
        self.method = method
        self.arguments = arguments
        self.invocationID = invocationID
        self.state = state
    }
}

extension ClassicJSON {
    /// Reads one call. Names match ignoring case, unknown ones are skipped, the last of equal ones counts. Arguments
    /// and state are slices of `message`.
    /// - Throws: ``ProtocolError`` when it is not a call. ``invocationID(in:)`` finds the id to answer it by.
    package static func parseInvocation(_ message: ByteBuffer) throws(ProtocolError) -> ClassicInvocation {
        var fields = ClassicFields()
        do throws(JSONCodingError) {
            try message.withUnsafeReadableBytes { raw throws(JSONCodingError) in
                try JSONScanner.scanDocument(raw) { scanner, key throws(JSONCodingError) in
                    try fields.read(key, &scanner)
                }
            }
        } catch {
            throw ProtocolError(error, in: "invocation")
        }
        guard let hub = fields.hub, !hub.isEmpty else {
            throw ProtocolError(.missingProperty, "invocation: 'H', the hub, is missing or empty")
        }
        guard let method = fields.method, !method.isEmpty else {
            throw ProtocolError(.missingProperty, "invocation: 'M', the method, is missing or empty")
        }
        guard fields.stateUnits <= Self.stateLimit else {
            throw ProtocolError(
                .limitExceeded, "invocation: 'S', the state, is longer than \(Self.stateLimit) characters")
        }
        return ClassicInvocation(
            hub: hub,
            method: method,
            arguments: fields.arguments.map { ArgumentList(unchecked: message.slice($0.range), count: $0.count) }
                ?? .empty,
            invocationID: fields.id,
            state: fields.state.map { JSONValueText(unchecked: message.slice($0)) }
        )
    }

    /// The invocation id of a message that ``parseInvocation(_:)`` refused, so that its caller need not wait in vain.
    /// Nil when there is none, or when even that cannot be read.
    package static func invocationID(in message: ByteBuffer) -> String? {
        message.withUnsafeReadableBytes { raw in
            var id: String?
            var scanner = JSONScanner(raw)
            try? scanner.scanObject { scanner, key throws(JSONCodingError) in
                if scanner.string(key, isIgnoringCase: "I") {
                    id = try ClassicFields.readID(&scanner)
                } else {
                    try scanner.skipValue()
                }
            }
            return id
        }
    }

    /// Reads the parameter `connectionData`: the hubs a connection listens to, as the client spells them.
    /// - Throws: ``ProtocolError`` for anything but an array of objects with a `name`, and for a hub listed twice.
    package static func parseConnectionData(_ text: String) throws(ProtocolError) -> [String] {
        let bytes = ByteBuffer(string: text)
        var names: [String?] = []
        do throws(JSONCodingError) {
            try bytes.withUnsafeReadableBytes { raw throws(JSONCodingError) in
                var scanner = JSONScanner(raw)
                if scanner.peek() == nil { return }
                if try scanner.takeNull() { return try scanner.expectEnd() }
                try scanner.scanArray { scanner throws(JSONCodingError) in
                    guard names.count < Self.hubLimit else {
                        throw JSONCodingError(.limitExceeded, "more than \(Self.hubLimit) hubs")
                    }
                    names.append(try Self.hubName(&scanner))
                }
                try scanner.expectEnd()
            }
        } catch {
            throw ProtocolError(error, in: "connectionData")
        }
        var seen: Set<String> = []
        return try names.map { name throws(ProtocolError) in
            guard let name, !name.isEmpty else {
                throw ProtocolError(.missingProperty, "connectionData: every entry needs a 'name'")
            }
            guard seen.insert(name.lowercased()).inserted else {
                throw ProtocolError(
                    .duplicateName, "connectionData: hub '\(ProtocolError.quote(name))' is listed twice")
            }
            return name
        }
    }

    private static func hubName(_ scanner: inout JSONScanner) throws(JSONCodingError) -> String? {
        var name: String?
        try scanner.scanObject { scanner, key throws(JSONCodingError) in
            if scanner.string(key, isIgnoringCase: "name") {
                name = try scanner.takeNull() ? nil : try scanner.readString(.strict)
            } else {
                try scanner.skipValue()
            }
        }
        return name
    }
}

/// What a classic call has been found to say so far.
private struct ClassicFields {
    var hub: String?
    var method: String?
    var arguments: ArgumentRange?
    var id: String?
    var state: Range<Int>?
    var stateUnits = 0

    mutating func read(_ key: JSONStringRange, _ scanner: inout JSONScanner) throws(JSONCodingError) {
        if scanner.string(key, isIgnoringCase: "H") {
            self.hub = try scanner.takeNull() ? nil : try scanner.readString(.strict)
        } else if scanner.string(key, isIgnoringCase: "M") {
            self.method = try scanner.takeNull() ? nil : try scanner.readString(.strict)
        } else if scanner.string(key, isIgnoringCase: "A") {
            // Why: an argument that is too deep fails its call when it is read, not the whole message.
            let limit = JSONScanner.deepestNesting
            self.arguments = try scanner.takeNull() ? nil : try scanner.scanArguments(depthLimit: limit)
        } else if scanner.string(key, isIgnoringCase: "I") {
            self.id = try Self.readID(&scanner)
        } else if scanner.string(key, isIgnoringCase: "S") {
            try self.readState(&scanner)
        } else {
            try scanner.skipValue()
        }
    }

    /// An id may be a string or a number, and is kept as written.
    static func readID(_ scanner: inout JSONScanner) throws(JSONCodingError) -> String? {
        try scanner.takeNull() ? nil : try scanner.readString(.classic)
    }

    private mutating func readState(_ scanner: inout JSONScanner) throws(JSONCodingError) {
        self.state = nil
        self.stateUnits = 0
        if try scanner.takeNull() { return }
        guard scanner.peek() == UInt8(ascii: "{") else {
            throw .mismatch(at: scanner.offset, expected: "the state as an object")
        }
        let range = try scanner.skipValue()
        self.state = range
        self.stateUnits = scanner.utf16Count(range)
    }
}

extension JSONScanner {
    /// How many UTF-16 units the valid UTF-8 in `range` amounts to.
    func utf16Count(_ range: Range<Int>) -> Int {
        self.bytes[range].reduce(0) { $0 &+ ($1 & 0xC0 == 0x80 ? 0 : $1 >= 0xF0 ? 2 : 1) }
    }
}
