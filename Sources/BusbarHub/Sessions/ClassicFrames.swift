import BusbarProtocol
import NIOCore

/// Whole frames for classic clients.
enum ClassicFrames {
    /// The JSON of one envelope with these elements.
    static func text(_ envelope: ClassicEnvelope, elements: [ByteBuffer] = []) -> ByteBuffer {
        var text = ByteBuffer()
        text.reserveCapacity(elements.reduce(128) { $0 + $1.readableBytes + 1 })
        EnvelopeWriter.write(envelope, messages: elements, into: &text)
        return text
    }

    /// One envelope with these elements.
    /// - Parameter callback: the function that a long poll's answer is an argument of, if any.
    static func envelope(
        _ envelope: ClassicEnvelope, elements: [ByteBuffer] = [], framing: ClassicFraming, callback: String? = nil
    ) -> ByteBuffer {
        let text = Self.text(envelope, elements: elements)
        guard let callback else { return framing.frame(text) }
        return HTTPChunks.chunk(ClassicFraming.callback(callback, text))
    }

    /// The JSON that answers a call.
    static func result(_ result: ClassicResult, invocationID: String) -> ByteBuffer {
        var text = ByteBuffer()
        ClassicJSON.writeResult(result, invocationID: invocationID, into: &text)
        return text
    }
}
