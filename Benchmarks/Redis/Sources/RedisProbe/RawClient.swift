import CHiredisClient

/// The bare comparison: blocking hiredis on a thread of its own.
final class RawClient {
    private let context: UnsafeMutablePointer<redisContext>

    init(port: Int) {
        guard let context = redisConnect("127.0.0.1", Int32(port)), context.pointee.err == 0 else {
            fail("can't connect to Redis on port \(port)")
        }
        self.context = context
    }

    deinit {
        redisFree(self.context)
    }

    func append(_ words: [[UInt8]]) {
        var lengths = words.map(\.count)
        let storage = words.map { word -> UnsafeMutableBufferPointer<CChar> in
            let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: max(1, word.count))
            for (index, byte) in word.enumerated() { buffer[index] = CChar(bitPattern: byte) }
            return buffer
        }
        var pointers = storage.map { buffer in buffer.baseAddress.map { UnsafePointer($0) } }
        redisAppendCommandArgv(self.context, Int32(words.count), &pointers, &lengths)
        for buffer in storage { buffer.deallocate() }
    }

    /// Waits for the next reply; `use` sees it before it is freed.
    @discardableResult
    func reply<Result>(_ use: (redisReply) -> Result) -> Result {
        var raw: UnsafeMutableRawPointer?
        guard redisGetReply(self.context, &raw) == REDIS_OK, let raw else { fail("Redis closed the connection") }
        defer { freeReplyObject(raw) }
        return use(raw.assumingMemoryBound(to: redisReply.self).pointee)
    }
}

extension redisReply {
    /// The payload of a pushed message.
    func withMessage<Result>(_ use: (UnsafeRawBufferPointer) -> Result) -> Result? {
        guard self.type == REDIS_REPLY_ARRAY, self.elements == 3, let payload = self.element[2]?.pointee,
            payload.type == REDIS_REPLY_STRING
        else { return nil }
        return use(UnsafeRawBufferPointer(start: payload.str, count: Int(payload.len)))
    }
}
