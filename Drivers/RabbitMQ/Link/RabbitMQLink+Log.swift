import BusbarDriver

/// Reading the log: extents and pages, and where a batch of ours has come to lie.
extension RabbitMQLink {
    func extent(of stream: StreamID, _ completion: @escaping Completion<StreamExtent>) {
        self.later {
            self.welcome(stream) { result in
                switch result {
                case .success: self.extent(of: stream, attempts: 3, completion)
                case .failure(let error): completion(.failure(error))
                }
            }
        }
    }

    private func extent(
        of stream: StreamID, attempts: Int, _ completion: @escaping (Result<StreamExtent, DriverError>) -> Void
    ) {
        guard self.isLive else { return completion(.failure(self.noLink)) }
        self.survey(stream) { result in
            switch result {
            case .failure(let fault): completion(.failure(self.noteLost(fault)))
            case .success(.extent(let extent)): completion(.success(extent))
            case .success(.untouched): completion(.failure(self.noteLost(Self.withoutEpoch)))
            case .success(.torn) where attempts > 1, .success(.lookFurtherBack) where attempts > 1:
                self.extent(of: stream, attempts: attempts - 1, completion)
            case .success: completion(.failure(self.noteLost(Self.withoutEpoch)))
            }
        }
    }

    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int, _ completion: @escaping Completion<Page>) {
        self.later {
            self.welcome(stream) { result in
                switch result {
                case .success: self.read(stream, after: offset, limitBytes: limitBytes, attempts: 3, completion)
                case .failure(let error): completion(.failure(error))
                }
            }
        }
    }

    private func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, attempts: Int,
        _ completion: @escaping (Result<Page, DriverError>) -> Void
    ) {
        guard self.isLive, let reader = self.attempt.reader else { return completion(.failure(self.noLink)) }
        let reading = PageReading(after: offset, limitBytes: limitBytes)
        let (place, prefetch) = reading.start
        let records = LogReader.Probe(from: place, prefetch: prefetch, limitBytes: limitBytes)
        let again = {
            self.read(stream, after: offset, limitBytes: limitBytes, attempts: attempts - 1, completion)
        }
        reader.look(into: stream, [records, .newest, .oldest], by: self.deadline) { result in
            switch result {
            case .failure(let fault): completion(.failure(self.noteLost(fault)))
            case .success(let findings):
                self.settle(stream, first: findings[2].first, tail: findings[1]) { result in
                    switch result {
                    case .failure(let fault): completion(.failure(self.noteLost(fault)))
                    case .success(.extent(let extent)):
                        self.go(on: stream, with: reading, findings[0], extent, by: self.deadline) { page in
                            switch page {
                            case .failure(let fault): completion(.failure(self.noteLost(fault)))
                            case .success(let page?): completion(.success(page))
                            case .success(nil) where attempts > 1: again()
                            case .success(nil): completion(.failure(self.noteLost(Self.withoutEpoch)))
                            }
                        }
                    case .success(.torn) where attempts > 1: again()
                    case .success: completion(.failure(self.noteLost(Self.withoutEpoch)))
                    }
                }
            }
        }
    }

    /// Looks further until the page is full or the log at its end; nil when the log was another one suddenly.
    private func go(
        on stream: StreamID, with reading: PageReading, _ entries: [LogEntry], _ extent: StreamExtent? = nil,
        by deadline: ContinuousClock.Instant, _ completion: @escaping (Result<Page?, AMQPFault>) -> Void
    ) {
        var reading = reading
        switch reading.looked(entries, extent) {
        case .done(let page): completion(.success(page))
        case .torn: completion(.success(nil))
        case .more(let place, let prefetch):
            guard let reader = self.attempt.reader else { return completion(.failure(.lost(self.noLink.detail))) }
            let probe = LogReader.Probe(from: place, prefetch: prefetch, limitBytes: reading.roomBytes)
            reader.look(into: stream, [probe], by: deadline) { result in
                switch result {
                case .failure(let fault): completion(.failure(fault))
                case .success(let findings): self.go(on: stream, with: reading, findings[0], by: deadline, completion)
                }
            }
        }
    }

    // MARK: Surveys

    /// Looks at both ends of several streams' queues.
    func survey(_ streams: [StreamID], _ completion: @escaping (Result<[StreamID: StreamExtent], DriverError>) -> Void)
    {
        var extents: [StreamID: StreamExtent] = [:]
        var isDone = streams.isEmpty
        if isDone { return completion(.success([:])) }
        for stream in streams {
            self.extent(of: stream, attempts: 3) { result in
                guard !isDone else { return }
                switch result {
                case .success(let extent): extents[stream] = extent
                case .failure(let error):
                    isDone = true
                    return completion(.failure(error))
                }
                guard extents.count == streams.count else { return }
                isDone = true
                completion(.success(extents))
            }
        }
    }

    func survey(_ stream: StreamID, _ completion: @escaping (Result<LogSurvey, AMQPFault>) -> Void) {
        guard let reader = self.attempt.reader else { return completion(.failure(.lost(self.noLink.detail))) }
        reader.look(into: stream, [.newest, .oldest], by: self.deadline) { result in
            switch result {
            case .failure(let fault): completion(.failure(fault))
            case .success(let findings):
                self.settle(stream, first: findings[1].first, tail: findings[0], completion)
            }
        }
    }

    /// Looks further back as long as the tail holds nothing of ours.
    private func settle(
        _ stream: StreamID, first: LogEntry?, tail: [LogEntry], span: UInt64 = 64,
        _ completion: @escaping (Result<LogSurvey, AMQPFault>) -> Void
    ) {
        let survey = LogSurvey(first: first, tail: tail)
        guard case .lookFurtherBack(let place) = survey, let first, let reader = self.attempt.reader else {
            return completion(.success(survey))
        }
        let start = max(first.place, place - min(span, place))
        let probe = LogReader.Probe(start: .place(start), prefetch: UInt16(clamping: place - start + 1))
        reader.look(into: stream, [probe], by: self.deadline) { result in
            switch result {
            case .failure(let fault): completion(.failure(fault))
            case .success(let findings):
                guard let begin = findings[0].first?.place, begin <= start, span < 32_768 else {
                    return completion(.success(.torn))
                }
                self.settle(stream, first: first, tail: findings[0], span: span * 8, completion)
            }
        }
    }

    // MARK: Losses

    private static let withoutEpoch = AMQPFault.channelClosed(
        code: 404, text: "the queue was made anew, or is no log of Busbar's")

    /// A look that failed for want of its queue means that the link has to be made anew; whoever asked may ask again.
    private func noteLost(_ fault: AMQPFault) -> DriverError {
        if case .channelClosed(let code, _) = fault, code == 404, self.isLive {
            self.fail(fault, attempt: self.attempt.number)
        }
        return fault.driverError(during: "read")
    }

    /// A batch was stored but didn't come back soon: the link delivers slowly, or it was delivered while nobody waited.
    ///
    /// Its place is at the log's end or before; whoever begins there misses nothing that is published later.
    func locate(_ message: Publishing<Ticket>.Message) {
        guard let reader = self.attempt.reader else { return }
        let mark = LogEntry.Mark(driver: self.identity, number: message.number)
        reader.look(into: message.stream, [.newest], by: self.deadline) { result in
            guard case .success(let findings) = result else { return }
            let batches = findings[0].filter { $0.content.epoch == message.epoch && $0.isBatch }
            guard let found = batches.first(where: { $0.mark == mark }) ?? batches.last,
                let waiting = self.publishing.cameBack(message.number)
            else { return }
            let offset = RecordPlace.last(at: found.place)
            waiting.ticket(.success(Position(stream: message.stream, epoch: message.epoch, offset: offset)))
        }
    }
}

extension LogEntry.Content {
    fileprivate var epoch: Epoch? {
        switch self {
        case .proposal(let epoch), .batch(let epoch, _): epoch
        case .foreign: nil
        }
    }
}
