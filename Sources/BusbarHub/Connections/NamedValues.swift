/// Header fields, query parameters, cookies or claims: names with values, in the order they came. Names ignore case.
///
/// One block of memory however many there are, since every connection keeps some; each look-up reads through it.
public struct NamedValues: Hashable, Sendable {
    /// For each pair the length of name and value, four bytes each, then their text.
    private var bytes: [UInt8] = []

    /// How many pairs there are, repeated names counted each time.
    public private(set) var count = 0

    public init() {}

    public init(_ pairs: some Sequence<(String, String)>) {
        for (name, value) in pairs {
            self.append(name, value)
        }
    }

    public var isEmpty: Bool { self.count == 0 }

    /// The value of `name`, several joined by commas; nil if there is none.
    public subscript(name: String) -> String? {
        let values = self.values(of: name)
        return values.isEmpty ? nil : values.joined(separator: ",")
    }

    /// Every value of `name`, in order.
    public func values(of name: String) -> [String] {
        var found: [String] = []
        let wanted = name.utf8
        self.forEach { name, value in
            guard name.count == wanted.count, zip(name, wanted).allSatisfy({ Self.lowered($0) == Self.lowered($1) })
            else { return }
            found.append(String(decoding: value, as: UTF8.self))
        }
        return found
    }

    /// All pairs, in order.
    public var pairs: [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        found.reserveCapacity(self.count)
        self.forEach { found.append((String(decoding: $0, as: UTF8.self), String(decoding: $1, as: UTF8.self))) }
        return found
    }

    private mutating func append(_ name: String, _ value: String) {
        for text in [name, value] {
            withUnsafeBytes(of: UInt32(clamping: text.utf8.count)) { self.bytes.append(contentsOf: $0) }
            self.bytes.append(contentsOf: text.utf8)
        }
        self.count += 1
    }

    private func forEach(_ body: (ArraySlice<UInt8>, ArraySlice<UInt8>) -> Void) {
        var index = 0
        func next() -> ArraySlice<UInt8> {
            let length = self.bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index, as: UInt32.self) }
            defer { index += 4 + Int(length) }
            return self.bytes[(index + 4)..<(index + 4 + Int(length))]
        }
        for _ in 0..<self.count { body(next(), next()) }
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}
