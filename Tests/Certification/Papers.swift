package import Foundation

/// An authority of one test, and certificates by it for a server and for a client, made by `openssl`.
package final class Papers: Sendable {
    package let directory: URL

    package init(serverName: String = "localhost", address: String = "127.0.0.1") throws {
        self.directory = URL.temporaryDirectory.appending(path: "busbar-papers-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        try self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=an authority of Busbar's tests", "-keyout", self.path("ca.key"), "-out", self.path("ca.pem"))
        try self.issue("server", names: "DNS:\(serverName),IP:\(address)")
        try self.issue("client", names: "DNS:client")
    }

    deinit {
        try? FileManager.default.removeItem(at: self.directory)
    }

    package func path(_ name: String) -> String { self.directory.appending(path: name).path() }

    private func issue(_ name: String, names: String) throws {
        try self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=\(name)",
            "-keyout", self.path("\(name).key"), "-out", self.path("\(name).csr"))
        try "subjectAltName=\(names)".write(toFile: self.path("\(name).ext"), atomically: true, encoding: .utf8)
        try self.openssl(
            "x509", "-req", "-in", self.path("\(name).csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
            "-CAcreateserial", "-days", "2", "-extfile", self.path("\(name).ext"), "-out", self.path("\(name).pem"))
    }

    private func openssl(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
}
