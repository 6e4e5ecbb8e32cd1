/// Which web pages of other origins may use the hubs.
package struct CrossOrigin: Hashable, Sendable {
    /// Exact origins such as `https://app.example.org`; nil leaves the matter to browsers' own rules.
    let allowed: Set<String>?

    package init(allowed: Set<String>?) {
        self.allowed = allowed.map { Set($0.map { $0.lowercased() }) }
    }

    /// Whether a page may open a WebSocket. What sends no `Origin` is no web page.
    ///
    /// Why: the browser's same-origin rules do not apply to WebSockets, and cookies are sent along.
    package func mayUpgrade(origin: String?) -> Bool {
        guard let allowed, let origin else { return true }
        return allowed.contains(origin.lowercased())
    }

    /// The fields that let the page at `origin` read an answer. Credentials are allowed, so the origin is named
    /// exactly.
    package func fields(for origin: String?) -> [HTTPResponse.Field] {
        guard let allowed else { return [] }
        let vary = HTTPResponse.Field("Vary", "Origin")
        guard let origin, allowed.contains(origin.lowercased()) else { return [vary] }
        return [
            vary, .init("Access-Control-Allow-Origin", origin), .init("Access-Control-Allow-Credentials", "true"),
        ]
    }

    /// The answer to a preflight request of an allowed page; nil when `request` is none.
    package func preflight(_ request: HTTPRequest) -> HTTPResponse? {
        guard request.method == "OPTIONS", let origin = request.fields.first("origin"),
            request.fields.first("access-control-request-method") != nil,
            let allowed, allowed.contains(origin.lowercased())
        else { return nil }
        var response = HTTPResponse(status: 204)
        response.fields = self.fields(for: origin)
        response.add("Access-Control-Allow-Methods", "GET, POST, DELETE")
        response.add(
            "Access-Control-Allow-Headers", "authorization, content-type, x-requested-with, x-signalr-user-agent")
        response.add("Access-Control-Max-Age", "600")
        return response
    }
}
