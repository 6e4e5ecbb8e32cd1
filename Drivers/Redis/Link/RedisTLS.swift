import BusbarDriver
import NIOCore

#if TLS
import NIOSSL

/// Makes connections that only the right server can read, as `rediss://` asks for.
///
/// The server's certificate is always verified: its chain up to a trusted authority, and that it is for the name that is
/// asked for or for the address that was connected to. What doesn't fit ends the connection before a password is sent.
struct RedisTLS: Sendable {
    private let context: NIOSSLContext
    private let serverName: String?

    /// - Throws: ``DriverError`` that names the file which can't be used; it holds nothing of its content.
    init(_ tls: RedisConfiguration.TLS) throws(DriverError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        do {
            if let path = tls.authoritiesPath {
                // Why loaded here: NIOSSL would ignore a file in which it finds nothing.
                let authorities = try Self.use(path, "tlsAuthorities") { try NIOSSLCertificate.fromPEMFile(path) }
                guard !authorities.isEmpty else {
                    throw Self.unusable(path, "tlsAuthorities", "it holds no certificate")
                }
                configuration.trustRoots = .certificates(authorities)
            }
            if let chain = tls.certificatePath, let key = tls.privateKeyPath {
                configuration.certificateChain = try Self.use(chain, "tlsCertificate") {
                    try NIOSSLCertificate.fromPEMFile(chain).map { .certificate($0) }
                }
                configuration.privateKey = try Self.use(key, "tlsKey") {
                    .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
                }
            }
            self.context = try NIOSSLContext(configuration: configuration)
        } catch let error as DriverError {
            throw error
        } catch {
            throw DriverError(.rejected, during: "run", recovery: .giveUp, detail: "TLS can't be set up: \(error)")
        }
        self.serverName = tls.serverName
    }

    /// Puts the handler into the pipeline of a channel that is about to connect to `host`.
    func secure(_ channel: any Channel, host: String) throws {
        let name = self.serverName ?? host
        // Why none for an address: it is no name to ask for, and the address itself is then looked for in the
        // certificate.
        let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
        let handler = try NIOSSLClientHandler(context: self.context, serverHostname: isAddress ? nil : name)
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// What went wrong, in words; the library's own behind them.
    static func description(of error: any Error) -> String {
        switch error {
        case let error as NIOSSLExtraError: return "TLS: the server's certificate won't do: \(error)"
        case is NIOSSLError, is BoringSSLError:
            let text = "\(error)"
            let isDistrust = text.contains("CERTIFICATE_VERIFY_FAILED")
            return isDistrust
                ? "TLS: no authority that is trusted here stands for the server's certificate: \(text)" : "TLS: \(text)"
        default: return "\(error)"
        }
    }

    private static func use<T>(_ path: String, _ key: String, _ read: () throws -> T) throws -> T {
        do { return try read() } catch { throw Self.unusable(path, key, "\(error)") }
    }

    private static func unusable(_ path: String, _ key: String, _ why: String) -> DriverError {
        DriverError(.rejected, during: "run", recovery: .giveUp, detail: "\(key): \"\(path)\" can't be used: \(why)")
    }
}
#else
/// This build has no TLS: no value of this type can be made.
struct RedisTLS: Sendable {
    init(_ tls: RedisConfiguration.TLS) throws(DriverError) {
        throw DriverError(
            .rejected, during: "run", recovery: .giveUp, detail: "\(RedisConfiguration.TLS.missing)")
    }

    func secure(_ channel: any Channel, host: String) throws {}

    static func description(of error: any Error) -> String { "\(error)" }
}
#endif
