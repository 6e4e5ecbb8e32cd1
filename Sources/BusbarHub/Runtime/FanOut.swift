import Busbar
import BusbarProtocol
import NIOCore

/// Carries one batch to its recipients: runs are encoded once per format, who gets the same runs shares the same
/// bytes, and each connection that was touched is written to and flushed once. Its memory is kept from batch to
/// batch.
struct FanOut {
    private var runs: [MessageRun] = []
    private var isRunOpen = false
    private var trails = RunTrails()
    private var touched: [Recipient] = []
    private var delivered = 0
    /// What each trail comes to, per format: made when the first recipient needs it.
    private var jsonFrames: [ByteBuffer?] = []
    private var packedFrames: [ByteBuffer?] = []
    private var classicFrames: [ByteBuffer?] = []
    private var classicTexts: [ByteBuffer?] = []
    private let longPollDelayMilliseconds: Int

    init(longPollDelayMilliseconds: Int) {
        self.longPollDelayMilliseconds = longPollDelayMilliseconds
    }

    // MARK: Collecting

    mutating func begin() {
        self.delivered = 0
        self.isRunOpen = false
    }

    /// The run that messages are being added to.
    var openRun: MessageRun? { self.isRunOpen ? self.runs.last : nil }

    mutating func beginRun(_ message: HubMessage, topic: Topic) {
        self.runs.append(MessageRun(message, topic: topic))
        self.isRunOpen = true
    }

    mutating func extendRun(with message: HubMessage, topic: Topic) -> Bool {
        self.isRunOpen && self.runs[self.runs.count - 1].extend(with: message, topic: topic)
    }

    /// The newest run is for this recipient too.
    mutating func give(to recipient: Recipient) {
        guard recipient.isListening else { return }
        let run = self.runs.count - 1
        recipient.trail = self.trails.follow(Int32(run), from: recipient.trail)
        self.delivered += self.runs[run].messages.count
        self.touch(recipient)
    }

    mutating func endRun() {
        self.isRunOpen = false
    }

    /// The recipient has to be looked at when the batch ends.
    mutating func touch(_ recipient: Recipient) {
        if recipient.isTouched { return }
        recipient.isTouched = true
        self.touched.append(recipient)
    }

    // MARK: Delivering

    /// Writes and flushes everything, and returns how many messages went to how many recipients in all.
    mutating func finish(limitBytes: Int, batch: UInt64, cursor: () -> String) -> Int {
        if !self.touched.isEmpty {
            let count = self.trails.count
            self.jsonFrames.append(contentsOf: repeatElement(nil, count: max(0, count - self.jsonFrames.count)))
            self.packedFrames.append(contentsOf: repeatElement(nil, count: max(0, count - self.packedFrames.count)))
            self.classicTexts.append(contentsOf: repeatElement(nil, count: max(0, count - self.classicTexts.count)))
            let frames = count * Self.framings
            self.classicFrames.append(contentsOf: repeatElement(nil, count: max(0, frames - self.classicFrames.count)))
            for index in self.touched.indices {
                self.deliver(to: self.touched[index], limitBytes: limitBytes, batch: batch, cursor: cursor)
            }
            for index in 0..<count {
                self.jsonFrames[index] = nil
                self.packedFrames[index] = nil
                self.classicTexts[index] = nil
            }
            for index in 0..<frames { self.classicFrames[index] = nil }
            self.touched.removeAll(keepingCapacity: true)
        }
        self.runs.removeAll(keepingCapacity: true)
        self.trails.reset()
        return self.delivered
    }

    private mutating func deliver(
        to recipient: Recipient, limitBytes: Int, batch: UInt64, cursor: () -> String
    ) {
        let trail = recipient.trail
        recipient.trail = RunTrails.start
        recipient.isTouched = false
        guard recipient.isListening else { return }
        if recipient.takesBundles {
            let elements = self.trails.runs(of: trail).map { self.runs[$0].classicElements() }
            recipient.owner?.takeBundle(elements, cursor: cursor())
            return
        }
        guard trail != RunTrails.start, let outlet = recipient.outlet else { return }
        // Why before writing: one message over the limit may pass, a second one has to wait for the client to read.
        if outlet.queuedBytes > limitBytes {
            recipient.owner?.fellBehind()
            return
        }
        switch recipient.format {
        case .core(let language, .webSocket): self.writeCore(trail, language, to: outlet)
        case .classic(let framing):
            recipient.toldBatch = batch
            outlet.write(self.classicFrame(trail, framing, cursor: cursor))
            if framing == .longPolling { recipient.owner?.pollAnswered() }
        }
        outlet.flush()
    }

    private mutating func writeCore(_ trail: RunTrails.Trail, _ language: CoreProtocol, to outlet: any Outlet) {
        if let frames = self.coreFrames(language, trail) { return outlet.write(frames) }
        let runs = self.trails.runs(of: trail)
        if runs.count > 1, self.trails.followers(of: trail) == 1 {
            // Why: joining bytes for one recipient would copy what others share.
            for run in runs { outlet.write(self.runs[run].coreWebSocketFrames(language)) }
            return
        }
        var frames = self.runs[runs[0]].coreWebSocketFrames(language)
        for run in runs.dropFirst() {
            frames.writeImmutableBuffer(self.runs[run].coreWebSocketFrames(language))
        }
        switch language {
        case .json: self.jsonFrames[Int(trail)] = frames
        case .messagePack: self.packedFrames[Int(trail)] = frames
        }
        outlet.write(frames)
    }

    private func coreFrames(_ language: CoreProtocol, _ trail: RunTrails.Trail) -> ByteBuffer? {
        switch language {
        case .json: self.jsonFrames[Int(trail)]
        case .messagePack: self.packedFrames[Int(trail)]
        }
    }

    private static let framings = ClassicFraming.allCases.count

    private mutating func classicFrame(
        _ trail: RunTrails.Trail, _ framing: ClassicFraming, cursor: () -> String
    ) -> ByteBuffer {
        let place = Int(trail) * Self.framings + framing.rawValue
        if let frame = self.classicFrames[place] { return frame }
        let frame: ByteBuffer
        if framing == .longPolling, self.longPollDelayMilliseconds > 0 {
            frame = framing.frame(self.classicText(trail, cursor: cursor, delay: self.longPollDelayMilliseconds))
        } else if let text = self.classicTexts[Int(trail)] {
            frame = framing.frame(text)
        } else {
            let text = self.classicText(trail, cursor: cursor)
            self.classicTexts[Int(trail)] = text
            frame = framing.frame(text)
        }
        self.classicFrames[place] = frame
        return frame
    }

    private mutating func classicText(_ trail: RunTrails.Trail, cursor: () -> String, delay: Int = 0) -> ByteBuffer {
        var envelope = ClassicEnvelope(cursor: cursor())
        envelope.longPollDelayMilliseconds = delay
        let elements = self.trails.runs(of: trail).map { self.runs[$0].classicElements() }
        return ClassicFrames.text(envelope, elements: elements)
    }
}
