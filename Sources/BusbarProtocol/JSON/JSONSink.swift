import NIOCore

/// Where an encoder and all its containers write: the buffer, and which arrays and objects stand open in it.
///
/// Text is written as it is encoded; a container is closed as soon as one outside of it continues. Writing to a
/// container that was closed that way is an error.
final class JSONSink {
    struct Frame {
        let isObject: Bool
        /// The place whose value this container is: the same place may ask for its container again.
        let slot: Int
        let serial: Int
        var count: Int
    }

    var buffer = ByteBuffer()
    private(set) var marks: JSONMarks
    private(set) var frames: [Frame] = []
    /// The first thing that went wrong where nothing could be thrown.
    private var failure: JSONCodingError?
    /// Whether a place for a value is open: a key was written, or the text is still empty.
    private var awaitsValue = true
    private var lastNumber = 0

    init(marks: JSONMarks) { self.marks = marks }

    func newSlot() -> Int {
        self.lastNumber &+= 1
        return self.lastNumber
    }

    /// Opens the array or object that is the value at `slot`, `level` containers deep, or finds it if it is open.
    func open(isObject: Bool, level: Int, slot: Int) -> Int {
        if level < self.frames.count, self.frames[level].slot == slot {
            if self.frames[level].isObject != isObject { self.fail("both array and object asked for in one place") }
            return self.frames[level].serial
        }
        let serial = self.newSlot()
        guard self.awaitsValue, level == self.frames.count else {
            self.fail("two values in one place")
            return serial
        }
        guard level < JSONScanner.deepestNesting else {
            self.failure = self.failure ?? .tooDeep(limit: JSONScanner.deepestNesting)
            return serial
        }
        self.awaitsValue = false
        self.buffer.writeInteger(isObject ? UInt8(ascii: "{") : UInt8(ascii: "["))
        self.frames.append(Frame(isObject: isObject, slot: slot, serial: serial, count: 0))
        return serial
    }

    /// Makes room for the next element of the container at `level`: closes what is open inside, writes comma and key.
    func beginElement(level: Int, serial: Int, key: String? = nil) {
        guard level < self.frames.count, self.frames[level].serial == serial else {
            self.fail("a container was written to after an outer one had gone on")
            return
        }
        self.close(to: level &+ 1)
        if self.frames[level].count > 0 { self.buffer.writeInteger(UInt8(ascii: ",")) }
        self.frames[level].count &+= 1
        if let key {
            self.buffer.writeJSONString(key)
            self.buffer.writeInteger(UInt8(ascii: ":"))
        }
        self.awaitsValue = true
    }

    /// How many elements the container at `level` has.
    func count(level: Int, serial: Int) -> Int {
        level < self.frames.count && self.frames[level].serial == serial ? self.frames[level].count : 0
    }

    /// Writes the value that the open place waits for.
    func write<Value: Encodable>(_ value: Value, level: Int, path: ValuePath?) throws {
        try self.check()
        guard self.awaitsValue else {
            self.fail("two values in one place")
            return try self.check()
        }
        let place = self.buffer.writerIndex
        if let type = try self.buffer.writeJSONScalar(value) {
            self.marks.note(type, at: place)
            self.awaitsValue = false
        } else {
            try value.encode(to: JSONValueEncoder(sink: self, level: level, slot: self.newSlot(), path: path))
        }
    }

    func writeNull() throws {
        try self.check()
        guard self.awaitsValue else {
            self.fail("two values in one place")
            return try self.check()
        }
        self.buffer.writeStaticString("null")
        self.awaitsValue = false
    }

    /// Closes everything. Nothing may be written afterwards.
    func finish() throws(JSONCodingError) {
        self.close(to: 0)
        if let failure { throw failure }
    }

    private func close(to level: Int) {
        self.fillOpenPlace()
        while self.frames.count > level {
            self.buffer.writeInteger(self.frames.removeLast().isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"))
        }
    }

    /// A value that encoded nothing is an empty object, so that the text stays JSON.
    private func fillOpenPlace() {
        guard self.awaitsValue else { return }
        self.buffer.writeStaticString("{}")
        self.awaitsValue = false
    }

    private func fail(_ reason: StaticString) {
        self.failure = self.failure ?? JSONCodingError(.refused, "encode(to:): \(reason)")
    }

    private func check() throws {
        if let failure { throw failure }
    }
}
