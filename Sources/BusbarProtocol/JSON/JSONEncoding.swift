package import NIOCore

/// Writes Swift values as JSON, straight into a buffer: compact, one line, UTF-8.
///
/// Strings, booleans, numbers, `Data` and `[UInt8]` (base64), `Date` (ISO 8601), `UUID` (lower case), `URL` and
/// `Decimal` are written directly; everything else through its own `encode(to:)`. Object members come in the order in
/// which the value encodes them and under the names it gives. Nulls are written.
package enum JSONEncoding {
    /// Appends `value` to `buffer`. After an error the buffer is as it was before.
    /// - Throws: ``JSONCodingError`` `outOfRange` for NaN and infinity, `limitExceeded` beyond 64 levels, `refused`
    ///   when the value's own `encode(to:)` throws or uses its encoder out of turn.
    /// - Returns: where values stand that JSON has no sign for, counted from the beginning of what was appended.
    @discardableResult
    package static func encode<Value: Encodable>(
        _ value: Value,
        into buffer: inout ByteBuffer
    ) throws(JSONCodingError) -> [JSONMark] {
        let start = buffer.writerIndex
        var marks = JSONMarks(start: start)
        do throws(JSONCodingError) {
            try Self.append(value, into: &buffer, &marks)
        } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
        return marks.list
    }

    /// Appends `values` as one array. After an error the buffer is as it was before.
    package static func encodeArray<each Value: Encodable>(
        _ values: repeat each Value,
        into buffer: inout ByteBuffer
    ) throws(JSONCodingError) -> (count: Int, marks: [JSONMark]) {
        let start = buffer.writerIndex
        var marks = JSONMarks(start: start)
        var count = 0
        do throws(JSONCodingError) {
            buffer.writeInteger(UInt8(ascii: "["))
            for value in repeat each values {
                if count > 0 { buffer.writeInteger(UInt8(ascii: ",")) }
                count += 1
                try Self.append(value, into: &buffer, &marks)
            }
            buffer.writeInteger(UInt8(ascii: "]"))
        } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
        return (count, marks.list)
    }

    private static func append<Value: Encodable>(
        _ value: Value,
        into buffer: inout ByteBuffer,
        _ marks: inout JSONMarks
    ) throws(JSONCodingError) {
        let place = buffer.writerIndex
        if let type = try buffer.writeJSONScalar(value) { return marks.note(type, at: place) }
        let sink = JSONSink(marks: marks)
        // Why: the buffer moves into the sink and back; a copy would be written to twice.
        swap(&sink.buffer, &buffer)
        defer {
            swap(&sink.buffer, &buffer)
            marks = sink.marks
        }
        do {
            try value.encode(to: JSONValueEncoder(sink: sink, level: 0, slot: sink.newSlot(), path: nil))
            try sink.finish()
        } catch let error as JSONCodingError {
            throw error
        } catch {
            throw JSONCodingError(refusal: error)
        }
    }
}

extension JSONCodingError {
    /// What a value's own `Codable` code threw. Only the kind and the place are kept: its text may quote payloads.
    init(refusal error: any Error) {
        switch error {
        case EncodingError.invalidValue(_, let context):
            self.init(.refused, "a value that cannot be encoded\(Self.place(context.codingPath))")
        case DecodingError.typeMismatch(let type, let context):
            self.init(.typeMismatch, "expected \(type)\(Self.place(context.codingPath))")
        case DecodingError.valueNotFound(let type, let context):
            self.init(.typeMismatch, "expected \(type), found null\(Self.place(context.codingPath))")
        case DecodingError.keyNotFound(let key, let context):
            self.init(.missing, "member '\(key.stringValue)' is missing\(Self.place(context.codingPath))")
        case DecodingError.dataCorrupted(let context):
            if let cause = context.underlyingError as? JSONCodingError {
                self.init(cause.code, cause.detail + Self.place(context.codingPath))
            } else {
                self.init(.refused, "a value that its type does not allow\(Self.place(context.codingPath))")
            }
        default:
            self.init(.refused, "\(type(of: error))")
        }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        guard !path.isEmpty else { return "" }
        let steps = path.prefix(8).map { $0.intValue.map(String.init) ?? ProtocolError.quote($0.stringValue) }
        return " in \(steps.joined(separator: "."))"
    }
}
