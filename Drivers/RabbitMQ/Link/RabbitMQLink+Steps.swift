import BusbarConnection
import BusbarDriver
import NIOCore

/// The steps on the way to being live. Each ends in one success or one failure that carries the attempt's number; what comes later
/// than that is ignored.
extension RabbitMQLink {
    func perform(_ step: LinkMachine.Step, attempt number: Int) {
        switch step {
        case .connect: self.connect(number)
        // Why nothing: the library logs in when it connects.
        case .authenticate: self.stepSucceeded(number)
        case .verify: self.verify(number)
        case .follow: self.follow(number)
        }
    }

    private func connect(_ number: Int) {
        self.attempt = Attempt()
        self.attempt.number = number
        if self.publisher?.fault == nil, self.consumer?.fault == nil, self.publisher != nil, self.consumer != nil {
            return self.stepSucceeded(number)
        }
        let hosts = self.configuration.hosts
        let host = hosts[self.dialCount % hosts.count]
        self.dialCount += 1
        let dialer = AMQPDialer(configuration: self.configuration, watch: self.watch)
        do throws(DriverError) {
            let consumer = try dialer.dial(host, for: "reads")
            consumer.setOwner { [unowned self] channel, event in self.consumerSaid(event, on: channel) }
            self.consumer = consumer
            let publisher = try dialer.dial(host, for: "publishes")
            publisher.setOwner { [unowned self] channel, event in self.publisherSaid(event, on: channel) }
            self.publisher = publisher
        } catch {
            return self.fail(error, attempt: number)
        }
        self.stepSucceeded(number)
    }

    /// Channels, exchange, queues, and under which epochs their logs live.
    private func verify(_ number: Int) {
        guard let publisher = self.publisher, let consumer = self.consumer else { return }
        self.attempt.awaited = 1
        self.attempt.reader = LogReader(consumer, channel: self.attempt.readingChannel, names: self.names)
        self.publishing.channelOpened()
        for request in [AMQPRequest.openChannel, .selectConfirms] {
            self.request(request, on: publisher, self.attempt.publishingChannel, attempt: number)
        }
        for request in [AMQPRequest.openChannel, .declareExchange(self.names.exchange)] {
            self.request(request, on: consumer, self.attempt.setupChannel, attempt: number)
        }
        for stream in self.streams {
            self.attempt.awaited += 1
            self.claim(stream, attempt: number)
        }
        self.answered(number)
    }

    private func claim(_ stream: StreamID, attempt number: Int) {
        let queue = AMQPRequest.declareStream(self.names.queue(of: stream), self.configuration.streamArguments)
        self.attempt.claims[stream] = EpochClaim()
        self.setUp(queue, number) { self.perform([.survey], for: stream, attempt: number) }
    }

    /// Makes a stream usable that isn't followed, while the link is live.
    func welcome(_ stream: StreamID, _ completion: @escaping (Result<Epoch, DriverError>) -> Void) {
        guard self.isLive else { return completion(.failure(self.noLink)) }
        if let epoch = self.followers[stream]?.epoch ?? self.attempt.guests[stream] {
            return completion(.success(epoch))
        }
        let isFirst = self.attempt.arrivingGuests[stream] == nil
        self.attempt.arrivingGuests[stream, default: []].append(completion)
        if isFirst { self.claim(stream, attempt: self.attempt.number) }
    }

    /// Performs a claim's effects one after the other.
    private func perform(_ effects: [EpochClaim.Effect], for stream: StreamID, attempt number: Int) {
        guard number == self.attempt.number, let effect = effects.first else { return }
        let next = { self.perform(Array(effects.dropFirst()), for: stream, attempt: number) }
        let (queue, exchange) = (self.names.queue(of: stream), self.names.exchange)
        switch effect {
        case .survey:
            self.survey(stream) { result in
                guard number == self.attempt.number else { return }
                switch result {
                case .failure(let fault): self.fail(fault, attempt: number)
                case .success(let survey):
                    let effects = self.attempt.claims[stream]?.surveyed(survey, draw: .random(in: 1...(.max)))
                    self.perform(effects ?? [], for: stream, attempt: number)
                }
            }
        case .bind(let epoch):
            self.setUp(.bind(queue: queue, exchange: exchange, key: LogNames.key(of: stream, epoch)), number, next)
        case .unbind(let epoch):
            self.setUp(.unbind(queue: queue, exchange: exchange, key: LogNames.key(of: stream, epoch)), number, next)
        case .propose(let epoch):
            let bind = AMQPRequest.bind(queue: queue, exchange: exchange, key: LogNames.key(of: stream, epoch))
            self.setUp(bind, number) {
                self.offer(.proposal, of: stream, epoch, ByteBuffer()) { result in
                    guard number == self.attempt.number else { return }
                    switch result {
                    case .success: next()
                    case .failure(let error): self.fail(error, attempt: number, keepingConnections: true)
                    }
                }
            }
        case .settled(let extent):
            if let waiting = self.attempt.arrivingGuests.removeValue(forKey: stream) {
                self.attempt.guests[stream] = extent.epoch
                for completion in waiting { completion(.success(extent.epoch)) }
            } else {
                self.attempt.extents[stream] = extent
                self.answered(number)
            }
        case .fail(let error):
            self.fail(error, attempt: number)
        }
    }

    private func setUp(_ request: AMQPRequest, _ number: Int, _ next: @escaping () -> Void) {
        self.consumer?.send(request, on: self.attempt.setupChannel, by: self.deadline) { result in
            guard number == self.attempt.number else { return }
            switch result {
            case .success: next()
            case .failure(let fault): self.fail(fault, attempt: number)
            }
        }
    }

    /// A consumer for each stream, from where it was followed last, or behind what there is.
    private func follow(_ number: Int) {
        guard let consumer = self.consumer else { return }
        self.attempt.awaited = 1
        for request in [AMQPRequest.openChannel, .setPrefetch(Self.prefetch)] {
            self.request(request, on: consumer, self.attempt.liveChannel, attempt: number)
        }
        for (stream, extent) in self.attempt.extents {
            self.followers[stream]?.resume(extent)
            let follower = self.followers[stream] ?? Follower(stream, extent)
            self.followers[stream] = follower
            let consume = AMQPRequest.consume(
                queue: self.names.queue(of: stream), tag: String(stream.index), from: .place(follower.anchor))
            self.request(consume, on: consumer, self.attempt.liveChannel, attempt: number)
        }
        self.answered(number)
    }

    /// Sends one request of a step; the step is done when all are answered.
    private func request(_ request: AMQPRequest, on connection: AMQPConnection, _ channel: UInt16, attempt number: Int)
    {
        self.attempt.awaited += 1
        connection.send(request, on: channel, by: self.deadline) { result in
            guard number == self.attempt.number else { return }
            switch result {
            case .failure(let fault): self.fail(fault, attempt: number)
            case .success: self.answered(number)
            }
        }
    }

    private func answered(_ number: Int) {
        guard number == self.attempt.number else { return }
        self.attempt.awaited -= 1
        if self.attempt.awaited == 0 { self.stepSucceeded(number) }
    }
}

extension RabbitMQConfiguration {
    /// Every node of an app has to declare its queues with the same ones.
    package var streamArguments: [AMQPArgument] {
        [
            AMQPArgument("x-max-length-bytes", Int64(self.retainedBytes)),
            AMQPArgument("x-max-age", "\(self.retainedAge.components.seconds)s"),
            AMQPArgument("x-stream-max-segment-size-bytes", Int64(self.segmentBytes)),
        ]
    }
}
