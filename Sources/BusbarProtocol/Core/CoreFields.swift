import NIOCore

/// Where the properties of one core message stand in its record. Found in one pass; read when the type is known.
struct CoreFields {
    let record: ByteBuffer
    private(set) var type = 0
    private(set) var error: Range<Int>?
    private(set) var item: Range<Int>?
    private var typeNumber: Range<Int>?
    private var invocationID: Range<Int>?
    private var target: Range<Int>?
    private var hasArguments = false
    private var arguments: ArgumentRange?
    private var resultValue: Range<Int>?
    private var streamIDs: Range<Int>?
    private var headers: Range<Int>?
    private var allowReconnect: Range<Int>?
    private var sequenceID: Range<Int>?

    init(_ record: ByteBuffer) throws(ProtocolError) {
        self.record = record
        do throws(JSONCodingError) {
            try record.withUnsafeReadableBytes { raw throws(JSONCodingError) in
                try self.locate(in: raw)
            }
        } catch {
            throw ProtocolError(error, in: "hub message")
        }
        guard let type = self.typeNumber else {
            throw ProtocolError(.missingProperty, "hub message: property 'type' is missing")
        }
        let value = self.scan(type) { scanner in
            (try? scanner.scanNumber()).flatMap { $0.isInteger ? scanner.integer($0, as: Int32.self) : nil }
        }
        guard let value else { throw ProtocolError(.invalidProperty, "property 'type' must be a whole number") }
        self.type = Int(value)
    }

    /// Notes where each property stands; of equal ones the last stays.
    private mutating func locate(in raw: UnsafeRawBufferPointer) throws(JSONCodingError) {
        try JSONScanner.scanDocument(raw) { scanner, key throws(JSONCodingError) in
            if scanner.string(key, is: "arguments") {
                // Why: the limit of 64 levels is for one argument, and arguments stand in an array.
                self.hasArguments = true
                self.arguments = nil
                if scanner.peek() == UInt8(ascii: "[") {
                    self.arguments = try scanner.scanArguments(depthLimit: JSONScanner.deepestNesting)
                    return
                }
            }
            let value = try scanner.skipValue()
            self.note(value, as: key, scanner)
        }
    }

    private mutating func note(_ value: Range<Int>, as key: JSONStringRange, _ scanner: JSONScanner) {
        if scanner.string(key, is: "type") {
            self.typeNumber = value
        } else if scanner.string(key, is: "invocationId") {
            self.invocationID = value
        } else if scanner.string(key, is: "target") {
            self.target = value
        } else if scanner.string(key, is: "item") {
            self.item = value
        } else if scanner.string(key, is: "result") {
            self.resultValue = value
        } else if scanner.string(key, is: "error") {
            self.error = value
        } else if scanner.string(key, is: "streamIds") {
            self.streamIDs = value
        } else if scanner.string(key, is: "headers") {
            self.headers = value
        } else if scanner.string(key, is: "allowReconnect") {
            self.allowReconnect = value
        } else if scanner.string(key, is: "sequenceId") {
            self.sequenceID = value
        }
    }

    func required(_ field: Range<Int>?, _ name: StaticString) throws(ProtocolError) -> Range<Int> {
        guard let field else {
            throw ProtocolError(.missingProperty, "type \(self.type): property '\(name)' is missing")
        }
        return field
    }

    /// The bytes of a value, shared with the record.
    func text(_ field: Range<Int>) -> JSONValueText { JSONValueText(unchecked: self.record.slice(field)) }

    /// The string in `field`; nil if it is absent or null.
    func optionalString(_ field: Range<Int>?, _ name: StaticString) throws(ProtocolError) -> String? {
        guard let field else { return nil }
        return try self.scan(field) { scanner throws(ProtocolError) in
            do throws(JSONCodingError) {
                return try scanner.takeNull() ? nil : try scanner.readString(.strict)
            } catch {
                throw ProtocolError(.invalidProperty, "property '\(name)' must be a string")
            }
        }
    }

    /// The invocation id, which must be there and not be empty.
    func id() throws(ProtocolError) -> String {
        guard let id = try self.optionalString(self.invocationID, "invocationId"), !id.isEmpty else {
            throw ProtocolError(.missingProperty, "type \(self.type): property 'invocationId' is missing or empty")
        }
        return id
    }

    func invocation() throws(ProtocolError) -> CoreInvocation {
        guard let target = try self.optionalString(self.target, "target"), !target.isEmpty else {
            throw ProtocolError(.missingProperty, "type \(self.type): property 'target' is missing or empty")
        }
        let id = try self.optionalString(self.invocationID, "invocationId")
        return CoreInvocation(
            target: target,
            arguments: .json(try self.argumentList()),
            invocationID: id?.isEmpty == true ? nil : id,
            streamIDs: try self.streams(),
            headers: try self.headerList()
        )
    }

    func result() throws(ProtocolError) -> CoreResult {
        let error = try self.optionalString(self.error, "error")
        switch (error, self.resultValue) {
        case (nil, nil): return .void
        case (nil, .some(let value)): return .value(.json(self.text(value)))
        case (.some(let error), nil): return .error(error)
        case (.some, .some):
            throw ProtocolError(.conflictingProperties, "a completion has either 'result' or 'error', not both")
        }
    }

    func allowsReconnect() throws(ProtocolError) -> Bool {
        guard let field = self.allowReconnect else { return false }
        guard let value = self.scan(field, { scanner in try? scanner.readBool(.strict) }) else {
            throw ProtocolError(.invalidProperty, "property 'allowReconnect' must be true or false")
        }
        return value
    }

    func sequence() throws(ProtocolError) -> UInt64 {
        let field = try self.required(self.sequenceID, "sequenceId")
        let value = self.scan(field) { scanner in
            (try? scanner.scanNumber()).flatMap { $0.isInteger ? scanner.integer($0, as: UInt64.self) : nil }
        }
        guard let value else {
            throw ProtocolError(.invalidProperty, "property 'sequenceId' must be a whole number from 0")
        }
        return value
    }

    private func argumentList() throws(ProtocolError) -> ArgumentList {
        guard self.hasArguments else {
            throw ProtocolError(.missingProperty, "type \(self.type): property 'arguments' is missing")
        }
        guard let found = self.arguments else {
            throw ProtocolError(.invalidProperty, "property 'arguments' must be an array")
        }
        return ArgumentList(unchecked: self.record.slice(found.range), count: found.count)
    }

    private func streams() throws(ProtocolError) -> [String] {
        guard let field = self.streamIDs else { return [] }
        var streams: [String] = []
        do throws(JSONCodingError) {
            try self.scan(field) { scanner throws(JSONCodingError) in
                try scanner.scanArray { scanner throws(JSONCodingError) in
                    try Self.checkRoom(after: streams.count)
                    streams.append(try scanner.readString(.strict))
                }
            }
        } catch {
            throw Self.invalid(error, "property 'streamIds' must be an array of strings")
        }
        return streams
    }

    private func headerList() throws(ProtocolError) -> [(name: String, value: String)] {
        guard let field = self.headers else { return [] }
        var headers: [(name: String, value: String)] = []
        do throws(JSONCodingError) {
            try self.scan(field) { scanner throws(JSONCodingError) in
                try scanner.scanObject { scanner, key throws(JSONCodingError) in
                    let name = scanner.string(key)
                    headers.removeAll { $0.name == name }
                    try Self.checkRoom(after: headers.count)
                    headers.append((name, try scanner.readString(.strict)))
                }
            }
        } catch {
            throw Self.invalid(error, "property 'headers' must be an object whose values are strings")
        }
        return headers
    }

    private static func checkRoom(after count: Int) throws(JSONCodingError) {
        guard count < CoreJSON.listLimit else {
            throw JSONCodingError(.limitExceeded, "more than \(CoreJSON.listLimit) of a kind in one message")
        }
    }

    private static func invalid(_ error: JSONCodingError, _ rule: StaticString) -> ProtocolError {
        let isTooLong = error.code == .limitExceeded
        return ProtocolError(isTooLong ? .limitExceeded : .invalidProperty, "\(rule): \(error.detail)")
    }

    private func scan<Result, Failure: Error>(
        _ field: Range<Int>,
        _ body: (inout JSONScanner) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try self.record.withUnsafeReadableBytes { raw throws(Failure) -> Result in
            var scanner = JSONScanner(raw, at: field.lowerBound)
            return try body(&scanner)
        }
    }
}
