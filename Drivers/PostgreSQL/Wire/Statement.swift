import NIOCore

/// A statement with its parameters in PostgreSQL's binary formats.
struct Statement {
    enum Parameter {
        case int4(Int32)
        case int8(Int64)
        case text(String)
        /// Nil: the parameter is null.
        case optionalText(String?)
        case int8Array([Int64])
        case byteaArray([ByteBuffer])

        /// The type's object id, fixed in PostgreSQL since ever.
        var typeID: UInt32 {
            switch self {
            case .int4: 23
            case .int8: 20
            case .text, .optionalText: 25
            case .int8Array: 1016
            case .byteaArray: 1001
            }
        }
    }

    let text: String
    let parameters: [Parameter]
    /// Sent again and again with other values: worth a name in the session, which spares the server parsing and planning.
    var isFrequent = false

    init(_ text: String, _ parameters: Parameter...) {
        self.text = text
        self.parameters = parameters
    }

    /// The same, as one of ``isFrequent``.
    var frequent: Statement {
        var statement = self
        statement.isFrequent = true
        return statement
    }

    /// All values in one buffer that is never empty, and where each of them lies; nil for null.
    func encoded() -> (bytes: ByteBuffer, ranges: [Range<Int>?]) {
        // Why a byte of nothing: an empty value, which isn't null, needs an address too.
        var bytes = ByteBuffer(bytes: [0])
        var ranges: [Range<Int>?] = []
        for parameter in self.parameters {
            let start = bytes.writerIndex
            let isNull = !Self.write(parameter, into: &bytes)
            ranges.append(isNull ? nil : start..<bytes.writerIndex)
        }
        return (bytes, ranges)
    }

    private static func write(_ parameter: Parameter, into bytes: inout ByteBuffer) -> Bool {
        switch parameter {
        case .int4(let value): bytes.writeInteger(value)
        case .int8(let value): bytes.writeInteger(value)
        case .text(let value): bytes.writeString(value)
        case .optionalText(nil): return false
        case .optionalText(let value?): bytes.writeString(value)
        case .int8Array(let values):
            Self.writeArrayHeader(elementTypeID: 20, count: values.count, into: &bytes)
            for value in values { bytes.writeMultipleIntegers(Int32(8), value) }
        case .byteaArray(let values):
            Self.writeArrayHeader(elementTypeID: 17, count: values.count, into: &bytes)
            for value in values {
                bytes.writeInteger(Int32(truncatingIfNeeded: value.readableBytes))
                bytes.writeImmutableBuffer(value)
            }
        }
        return true
    }

    /// One dimension, no nulls, counted from 1.
    private static func writeArrayHeader(elementTypeID: UInt32, count: Int, into bytes: inout ByteBuffer) {
        bytes.writeMultipleIntegers(Int32(1), Int32(0), elementTypeID, Int32(truncatingIfNeeded: count), Int32(1))
    }
}
