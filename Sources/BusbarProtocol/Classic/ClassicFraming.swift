package import NIOCore

/// How the JSON texts of a classic connection are wrapped on its way to the client, by transport.
///
/// All but WebSocket travel as chunks of an HTTP answer, and as ASCII: clients are known that read an event stream as
/// Latin-1 and others that decode each network read by itself, so a character of several bytes would not survive.
package enum ClassicFraming: Int, Hashable, Sendable, CaseIterable {
    case webSocket
    case serverSentEvents
    case foreverFrame
    /// One text ends the answer.
    case longPolling

    /// A whole frame that holds one JSON text.
    package func frame(_ text: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        switch self {
        case .webSocket:
            WebSocketFrames.writeText(text, into: &frame)
            return frame
        case .serverSentEvents:
            frame.writeStaticString("data: ")
            frame.writeJSONAsASCII(text)
            frame.writeStaticString("\r\n\r\n")
        case .foreverFrame:
            frame.writeStaticString("<script>r(c, ")
            frame.writeJSONAsASCII(text, escapesMarkup: true)
            frame.writeStaticString(");</script>\r\n")
        case .longPolling:
            frame.writeJSONAsASCII(text)
        }
        return HTTPChunks.chunk(frame)
    }

    /// A whole frame that shows the client that the server is there.
    package var keepAlive: ByteBuffer {
        switch self {
        case .webSocket: Self.keepAlives.webSocket
        case .serverSentEvents: Self.keepAlives.serverSentEvents
        case .foreverFrame: Self.keepAlives.foreverFrame
        case .longPolling: Self.keepAlives.longPolling
        }
    }

    private static let keepAlives = (
        webSocket: Self.webSocket.frame(ByteBuffer(string: "{}")),
        serverSentEvents: HTTPChunks.chunk(ByteBuffer(string: "data: {}\n\n")),
        foreverFrame: HTTPChunks.chunk(ByteBuffer(string: "<script>r(c, {});</script>\n\n")),
        longPolling: HTTPChunks.chunk(ByteBuffer(string: " "))
    )

    /// A poll's text as the argument of a script's function.
    package static func callback(_ name: String, _ text: ByteBuffer) -> ByteBuffer {
        var script = ByteBuffer(string: name + "(")
        script.writeJSONAsASCII(text)
        script.writeStaticString(");")
        return script
    }

    /// What an event stream begins with.
    package static let eventStreamPreamble = ByteBuffer(string: "data: initialized\n\n")

    /// What the document of a forever frame begins with: finds the client's transport in the page around it.
    ///
    /// Why the blanks: browsers hold back documents that are too short.
    package static func foreverFramePreamble(frameID: UInt32) -> ByteBuffer {
        ByteBuffer(
            string: """
                <!DOCTYPE html>
                <html>
                <head>
                <title>SignalR forever frame</title>
                <script>
                var $ = window.parent && window.parent.jQuery;
                var transport = $ && $.signalR && $.signalR.transports && $.signalR.transports.foreverFrame;
                var c = transport ? transport.getConnection("\(frameID)") : null;
                var r = c ? transport.receive : function () {};
                if (c) { transport.started(c); }
                </script>
                </head>
                <body>\(String(repeating: " ", count: 4_096))

                """)
    }
}

extension ByteBuffer {
    /// Writes valid JSON with everything beyond ASCII as `\uXXXX`, which means the same to whoever parses it.
    ///
    /// - Parameter escapesMarkup: whether `<` and `>` are escaped too, so that the text can stand in a script element.
    package mutating func writeJSONAsASCII(_ json: ByteBuffer, escapesMarkup: Bool = false) {
        self.reserveCapacity(minimumWritableBytes: json.readableBytes)
        json.withUnsafeReadableBytes { bytes in
            var start = 0
            var index = 0
            while index < bytes.count {
                let byte = bytes[index]
                let isMarkup = escapesMarkup && (byte == UInt8(ascii: "<") || byte == UInt8(ascii: ">"))
                guard byte >= 0x80 || isMarkup else {
                    index += 1
                    continue
                }
                self.writeBytes(bytes[start..<index])
                // Why a whole stretch at once: it decodes what lies between two characters of ASCII.
                var end = index + 1
                if byte >= 0x80 {
                    while end < bytes.count, bytes[end] >= 0x80 { end += 1 }
                }
                for unit in String(decoding: bytes[index..<end], as: UTF8.self).utf16 { self.writeUTF16Escape(unit) }
                start = end
                index = end
            }
            self.writeBytes(bytes[start...])
        }
    }

    private mutating func writeUTF16Escape(_ unit: UInt16) {
        self.writeStaticString("\\u")
        for shift in [12, 8, 4, 0] as [UInt16] {
            let digit = UInt8(truncatingIfNeeded: unit >> shift & 0xF)
            self.writeInteger(digit < 10 ? digit + UInt8(ascii: "0") : digit - 10 + UInt8(ascii: "a"))
        }
    }
}
