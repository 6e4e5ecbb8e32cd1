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
    private var coreFrames: [ByteBuffer?] = []
    private var classicFrames: [ByteBuffer?] = []

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
            self.coreFrames.append(contentsOf: repeatElement(nil, count: max(0, count - self.coreFrames.count)))
            self.classicFrames.append(contentsOf: repeatElement(nil, count: max(0, count - self.classicFrames.count)))
            for index in self.touched.indices {
                self.deliver(to: self.touched[index], limitBytes: limitBytes, batch: batch, cursor: cursor)
            }
            for index in 0..<count {
                self.coreFrames[index] = nil
                self.classicFrames[index] = nil
            }
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
        case .coreJSONWebSocket: self.writeCore(trail, to: outlet)
        case .classicWebSocket:
            recipient.toldBatch = batch
            outlet.write(self.classicFrame(trail, cursor: cursor))
        }
        outlet.flush()
    }

    private mutating func writeCore(_ trail: RunTrails.Trail, to outlet: any Outlet) {
        if let frames = self.coreFrames[Int(trail)] { return outlet.write(frames) }
        let runs = self.trails.runs(of: trail)
        if runs.count > 1, self.trails.followers(of: trail) == 1 {
            // Why: joining bytes for one recipient would copy what others share.
            for run in runs { outlet.write(self.runs[run].coreWebSocketFrames()) }
            return
        }
        var frames = self.runs[runs[0]].coreWebSocketFrames()
        for run in runs.dropFirst() {
            frames.writeImmutableBuffer(self.runs[run].coreWebSocketFrames())
        }
        self.coreFrames[Int(trail)] = frames
        outlet.write(frames)
    }

    private mutating func classicFrame(_ trail: RunTrails.Trail, cursor: () -> String) -> ByteBuffer {
        if let frame = self.classicFrames[Int(trail)] { return frame }
        let elements = self.trails.runs(of: trail).map { self.runs[$0].classicElements() }
        let frame = ClassicFrames.envelope(ClassicEnvelope(cursor: cursor()), elements: elements)
        self.classicFrames[Int(trail)] = frame
        return frame
    }
}
