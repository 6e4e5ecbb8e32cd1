import Foundation

/// TCP ports of the loopback address.
package enum FreePort {
    /// A port that nobody uses at present, at most `highest`.
    package static func choose(upTo highest: Int = 65_535) throws -> Int {
        var taken: [CInt] = []
        defer { for descriptor in taken { close(descriptor) } }
        while true {
            let (descriptor, port) = try Self.bind()
            // Why kept until the end: so that the next one is another.
            taken.append(descriptor)
            if port <= highest { return port }
        }
    }

    /// A socket on a port of its own, not yet listening; the caller closes it.
    package static func bind() throws -> (descriptor: CInt, port: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                Foundation.bind(descriptor, raw, length) == 0 ? getsockname(descriptor, raw, &length) : -1
            }
        }
        guard status == 0 else {
            close(descriptor)
            throw POSIXError(.EADDRINUSE)
        }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }
}
