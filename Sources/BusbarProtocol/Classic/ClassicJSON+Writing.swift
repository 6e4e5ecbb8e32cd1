package import NIOCore

/// How a classic call ended.
package struct ClassicResult: Hashable, Sendable {
    /// The state members the method changed, as an object.
    package var state: JSONValueText?
    /// Left out for void and for null.
    package var value: JSONValueText?
    /// Its presence means failure.
    package var error: String?
    /// Whether the error is one the application means its callers to see.
    package var isHubError = false
    package var stackTrace: String?
    package var errorData: JSONValueText?

    package init() {}

    /// A call that returned `value`.
    package static func success(_ value: JSONValueText? = nil, state: JSONValueText? = nil) -> Self {
        var result = Self()
        result.value = value
        result.state = state
        return result
    }

    /// A call that failed with the text of `error`.
    package static func failure(_ error: String, isHubError: Bool = false, data: JSONValueText? = nil) -> Self {
        var result = Self()
        result.error = error
        result.isHubError = isHubError
        result.errorData = data
        return result
    }
}

extension ClassicJSON {
    /// The message that keeps a quiet stream alive.
    package static let keepAlive = ByteBuffer(string: "{}")
    /// The body that answers `/ping`.
    package static let pingResponse = ByteBuffer(string: "{ \"Response\": \"pong\" }")
    /// The body that answers `/start`.
    package static let startResponse = ByteBuffer(string: "{ \"Response\": \"started\" }")

    /// Writes the answer to the call `invocationID`. It is sent bare, never inside an envelope.
    package static func writeResult(_ result: ClassicResult, invocationID: String, into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "{"))
        if let state = result.state {
            buffer.writeStaticString("\"S\":")
            buffer.writeJSON(state)
            buffer.writeInteger(UInt8(ascii: ","))
        }
        if let value = result.value, value != .null {
            buffer.writeStaticString("\"R\":")
            buffer.writeJSON(value)
            buffer.writeInteger(UInt8(ascii: ","))
        }
        buffer.writeStaticString("\"I\":")
        buffer.writeJSONString(invocationID)
        if result.isHubError { buffer.writeStaticString(",\"H\":true") }
        if let error = result.error {
            buffer.writeStaticString(",\"E\":")
            buffer.writeJSONString(error)
        }
        if let trace = result.stackTrace {
            buffer.writeStaticString(",\"T\":")
            buffer.writeJSONString(trace)
        }
        if let data = result.errorData, data != .null {
            buffer.writeStaticString(",\"D\":")
            buffer.writeJSON(data)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }

    /// Writes a call of `method` on the clients of `hub`, an element of an envelope. Names are spelled as given.
    /// - Parameter state: the state members changed in this call, as an object; only for the caller itself.
    package static func writeInvocation(
        hub: String,
        method: String,
        arguments: ArgumentList,
        state: JSONValueText? = nil,
        into buffer: inout ByteBuffer
    ) {
        buffer.writeStaticString("{\"H\":")
        buffer.writeJSONString(hub)
        buffer.writeStaticString(",\"M\":")
        buffer.writeJSONString(method)
        buffer.writeStaticString(",\"A\":")
        buffer.writeImmutableBuffer(arguments.bytes)
        if let state {
            buffer.writeStaticString(",\"S\":")
            buffer.writeJSON(state)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }

    /// Writes a progress report of the call `invocationID`, an element of an envelope.
    package static func writeProgress(
        _ value: JSONValueText,
        invocationID: String,
        state: JSONValueText? = nil,
        into buffer: inout ByteBuffer
    ) {
        buffer.writeInteger(UInt8(ascii: "{"))
        if let state {
            buffer.writeStaticString("\"S\":")
            buffer.writeJSON(state)
            buffer.writeInteger(UInt8(ascii: ","))
        }
        // Why: clients older than progress look this id up, find no call of that name and ignore the message.
        buffer.writeStaticString("\"I\":")
        buffer.writeJSONString("P|" + invocationID)
        buffer.writeStaticString(",\"P\":{\"I\":")
        buffer.writeJSONString(invocationID)
        buffer.writeStaticString(",\"D\":")
        buffer.writeJSON(value)
        buffer.writeStaticString("}}")
    }
}
