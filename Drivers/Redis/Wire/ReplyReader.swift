import CHiredis
package import NIOCore

/// Turns bytes into replies with hiredis's reader. Confined to its connection's event loop.
package final class ReplyReader {
    private let reader: UnsafeMutablePointer<redisReader>
    private let limitBytes: Int

    /// - Parameter limitBytes: the most that may be buffered for one unfinished reply.
    package init(limitBytes: Int) {
        guard let reader = redisReaderCreate() else {
            // Why a trap: it returns nil only when malloc does, and then nothing else works either.
            preconditionFailure("no memory for a reply reader")
        }
        self.reader = reader
        // Why: above this the reader gives its buffer back after each reply; a read fills 64 KiB and more.
        reader.pointee.maxbuf = 1 << 18
        self.limitBytes = limitBytes
    }

    deinit {
        redisReaderFree(self.reader)
    }

    package func feed(_ bytes: ByteBuffer) throws(RedisProtocolError) {
        let status = bytes.withUnsafeReadableBytes { pointer in
            redisReaderFeed(self.reader, pointer.baseAddress?.assumingMemoryBound(to: CChar.self), pointer.count)
        }
        guard status == REDIS_OK else { throw self.failure() }
    }

    /// The next whole reply, or nil when more bytes are needed.
    package func next() throws(RedisProtocolError) -> RedisReply? {
        var raw: UnsafeMutableRawPointer?
        guard redisReaderGetReply(self.reader, &raw) == REDIS_OK else { throw self.failure() }
        guard let raw else {
            guard self.reader.pointee.len - self.reader.pointee.pos <= self.limitBytes else {
                throw RedisProtocolError(detail: "a reply is larger than \(self.limitBytes) bytes")
            }
            return nil
        }
        defer { freeReplyObject(raw) }
        return RedisReply(copying: raw.assumingMemoryBound(to: redisReply.self).pointee)
    }

    private func failure() -> RedisProtocolError {
        let text = withUnsafeBytes(of: self.reader.pointee.errstr) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RedisProtocolError(detail: text)
    }
}

extension RedisReply {
    // Why no depth check: hiredis refuses more than seven levels.
    fileprivate init(copying reply: redisReply) {
        let bytes = UnsafeRawBufferPointer(start: reply.str, count: reply.str == nil ? 0 : Int(reply.len))
        switch reply.type {
        case REDIS_REPLY_STRING:
            self = .bulk(ByteBuffer(bytes: bytes))
        case REDIS_REPLY_STATUS:
            self = .status(String(decoding: bytes, as: UTF8.self))
        case REDIS_REPLY_ERROR:
            self = .error(RedisServerError(String(decoding: bytes, as: UTF8.self)))
        case REDIS_REPLY_INTEGER:
            self = .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            self = .array(
                (0..<Int(reply.elements)).map { index in
                    guard let element = reply.element[index] else { return .null }
                    return RedisReply(copying: element.pointee)
                }
            )
        default:
            self = .null
        }
    }
}
