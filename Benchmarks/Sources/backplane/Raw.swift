import CRawBrokers

/// The broker's own client library, without us.
enum Raw {
    private typealias Consume = (
        UnsafePointer<CChar>, UnsafePointer<CChar>, CInt, UnsafeMutableRawPointer?, raw_ready?, raw_heard?
    ) -> UnsafePointer<CChar>?

    static func consume(_ url: String, _ channel: String, count: Int) {
        let consume: Consume =
            switch Broker(of: url) {
            case .redis: raw_redis_consume
            case .postgres: raw_postgres_consume
            case .rabbit: raw_rabbit_consume
            }
        var measurement = Measurement()
        let error = withUnsafeMutablePointer(to: &measurement) { pointer in
            consume(url, channel, CInt(count), pointer) { _ in
                say("ready")
            } _: { context, leftAt in
                context?.assumingMemoryBound(to: Measurement.self).pointee.took(since: leftAt)
            }
        }
        if let error { fail(String(cString: error)) }
        measurement.report("subscriber")
    }

    /// - Parameter rate: 0 for as fast as it goes, which then is with `window` messages under way on RabbitMQ, else one.
    static func publish(_ url: String, _ channel: String, count: Int, rate: Int, window: Int) {
        self.timed(count) {
            switch Broker(of: url) {
            case .redis: raw_redis_publish(url, channel, CInt(count), CInt(rate))
            case .postgres: raw_postgres_publish(url, channel, CInt(count), CInt(rate))
            case .rabbit: raw_rabbit_publish(url, channel, CInt(count), CInt(rate), CInt(window))
            }
        }
    }

    /// Our append script, one message a call.
    static func script(_ url: String, count: Int, window: Int, words: [String]) {
        let texts = words.map { $0.utf8CString }
        let block = texts.flatMap(\.self)
        self.timed(count) {
            block.withUnsafeBufferPointer { block in
                var start = 0
                let pointers = texts.map { text -> UnsafePointer<CChar>? in
                    defer { start += text.count }
                    return block.baseAddress.map { $0 + start }
                }
                return raw_redis_script(url, CInt(count), CInt(window), CInt(words.count), pointers)
            }
        }
    }

    private static func timed(_ count: Int, _ work: () -> UnsafePointer<CChar>?) {
        let (start, cpu) = (raw_now(), cpuNanoseconds())
        if let error = work() { fail(String(cString: error)) }
        let rate = UInt64(count) * 1_000_000_000 / max(1, raw_now() - start)
        say("side=publisher count=\(count) rate=\(rate) cpu=\(Double(cpuNanoseconds() - cpu) / 1_000 / Double(count))")
    }
}

/// Which broker a URL leads to.
enum Broker {
    case redis, postgres, rabbit

    init(of url: String) {
        switch url.prefix(while: { $0 != ":" }) {
        case "redis": self = .redis
        case "postgres", "postgresql": self = .postgres
        case "amqp": self = .rabbit
        case let scheme: fail("no raw client for \(scheme):")
        }
    }
}
