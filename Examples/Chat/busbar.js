/**
 * A small client of the SignalR core protocol: JSON hub messages, negotiation version 1, WebSocket.
 *
 *     const hub = new HubConnection("/chat");
 *     hub.on("said", (message) => …);
 *     hub.onConnected = async () => { await hub.invoke("introduce", "Ada"); };
 *     hub.start();
 *     const answer = await hub.invoke("echo", 42);
 *
 * Once started it stays connected until `stop()` or until the server says it is not wanted back. A lost connection
 * fails every waiting invocation, and `onConnected` runs again on the next one: that is the place to rejoin groups.
 */

const RECORD_END = "\u001e";
const MESSAGE = Object.freeze({ invocation: 1, completion: 3, ping: 6, close: 7 });

const PING_EVERY_MS = 15_000;
const SERVER_SILENCE_LIMIT_MS = 30_000;
const CONNECT_LIMIT_MS = 15_000;
/** A connection that lived this long starts the waits between attempts from the beginning when it is lost. */
const STABLE_AFTER_MS = 5_000;
const WAITS_MS = [0, 500, 1_000, 2_000, 5_000];

/** The server's answer to an invocation that failed; `message` is the server's text. */
export class HubError extends Error {
    name = "HubError";
}

/** The connection was lost, refused or not there. What was sent on it may or may not have arrived. */
export class ConnectionError extends Error {
    name = "ConnectionError";
}

/**
 * The ways to carry text, by their names in negotiation. Each starts to open a channel and returns `cancel()`, which
 * closes it at any time, and `opened`, which resolves to `{ send(text) }`. It calls `received(text)` for what arrives
 * and `ended(reason)` once, should it end after it was open.
 */
const TRANSPORTS = {
    WebSockets(url, { received, ended }) {
        const { promise, resolve, reject } = Promise.withResolvers();
        const target = new URL(url);
        target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
        const socket = new WebSocket(target);
        let open = false;
        socket.onopen = () => {
            open = true;
            resolve({ send: (text) => socket.send(text) });
        };
        socket.onmessage = ({ data }) => received(data);
        socket.onclose = ({ code, reason }) => {
            const error = new ConnectionError(`WebSocket closed with ${code}${reason ? ` (${reason})` : ""}.`);
            if (open) ended(error);
            else reject(error);
        };
        return { opened: promise, cancel: () => socket.close() };
    },
};

/** How long to wait after `failures` failed attempts in a row, spread by ±25 %: a crowd must not return at once. */
export function waitAfter(failures, random = Math.random()) {
    return WAITS_MS[Math.min(failures, WAITS_MS.length - 1)] * (0.75 + random / 2);
}

export class HubConnection {
    /** `connecting`, `connected`, `waiting` (for the next attempt) or `stopped`. */
    state = "stopped";
    /** Name of the transport in use, or null. */
    transport = null;
    /** Called as `(state, detail)`; detail is `{ waitMs, error }` while waiting and `{ error }` when stopped. */
    onState = () => {};
    /** Runs on every new connection before its state is `connected`; when it throws, the connection is given up. */
    onConnected = async () => {};

    #url;
    #handlers = new Map();
    #invocations = new Map();
    #lastInvocation = 0;
    #session = null;
    #running = false;
    #ran = Promise.resolve();
    #wake = () => {};

    /** `url` is the hub's endpoint, relative to the page or absolute. */
    constructor(url) {
        this.#url = new URL(url, globalThis.location?.href);
        globalThis.addEventListener?.("online", () => this.#wake());
    }

    /** Calls `handler(...args)` for each invocation of `target` by the server. Upper and lower case are the same. */
    on(target, handler) {
        this.#handlers.set(target.toLowerCase(), handler);
    }

    /** Connects, and connects again whenever the connection is lost. */
    start() {
        if (this.#running) return;
        this.#running = true;
        this.#ran = this.#ran.then(() => this.#run());
    }

    /** Ends the connection for good, unless `start()` is called again. */
    stop() {
        this.#running = false;
        this.#session?.end(new ConnectionError("Stopped."));
        this.#wake();
    }

    /** Skips what is left of the wait before the next attempt. */
    retryNow() {
        this.#wake();
    }

    /** Calls a hub method and resolves to its result. Throws `HubError` or `ConnectionError`. */
    invoke(target, ...args) {
        if (!this.#session?.ready) return Promise.reject(new ConnectionError("Not connected."));
        const invocationId = String(++this.#lastInvocation);
        const { promise, resolve, reject } = Promise.withResolvers();
        this.#invocations.set(invocationId, { resolve, reject });
        this.#session.send({ type: MESSAGE.invocation, invocationId, target, arguments: args });
        return promise;
    }

    async #run() {
        let failures = 0;
        let error;
        while (this.#running) {
            const startedAt = Date.now();
            this.#enter("connecting");
            error = await this.#connectOnce().catch((failure) => failure);
            if (error.final) this.#running = false;
            if (!this.#running) break;
            if (Date.now() - startedAt > STABLE_AFTER_MS) failures = 0;
            await this.#pause(waitAfter(failures), error);
            failures++;
        }
        this.#enter("stopped", { error });
    }

    /** One connection from negotiation to its end; resolves to the reason of the end, throws when it never stood. */
    async #connectOnce() {
        const offer = await this.#negotiate();
        if (!this.#running) throw new ConnectionError("Stopped.");
        const name = offer.availableTransports.map((each) => each.transport).find((each) => each in TRANSPORTS);
        if (!name) throw new ConnectionError("The server offers no transport this client knows.");
        const url = new URL(this.#url);
        url.searchParams.set("id", offer.connectionToken ?? offer.connectionId);

        const session = new Session(TRANSPORTS[name], url, (message) => this.#receive(message));
        this.#session = session;
        try {
            await session.open();
            this.transport = name;
            await Promise.race([this.onConnected(), session.ended.then((error) => Promise.reject(error))]);
            this.#enter("connected");
            return await session.ended;
        } catch (error) {
            session.end(error);
            throw error;
        } finally {
            this.#session = null;
            this.transport = null;
            const lost = new ConnectionError("The connection was lost before the answer came.");
            for (const { reject } of this.#invocations.values()) reject(lost);
            this.#invocations.clear();
        }
    }

    async #negotiate() {
        const url = new URL(this.#url);
        url.pathname = `${url.pathname.replace(/\/$/, "")}/negotiate`;
        url.searchParams.set("negotiateVersion", "1");
        const response = await fetch(url, { method: "POST", signal: AbortSignal.timeout(CONNECT_LIMIT_MS) });
        if (!response.ok) throw new ConnectionError(`Negotiation was answered with status ${response.status}.`);
        const offer = await response.json();
        if (offer.error) throw new ConnectionError(offer.error);
        return offer;
    }

    #receive(message) {
        switch (message.type) {
            case MESSAGE.invocation:
                try {
                    this.#handlers.get(message.target.toLowerCase())?.(...message.arguments);
                } catch (error) {
                    reportError(error);
                }
                break;
            case MESSAGE.completion: {
                const waiting = this.#invocations.get(message.invocationId);
                this.#invocations.delete(message.invocationId);
                if (message.error !== undefined) waiting?.reject(new HubError(message.error));
                else waiting?.resolve(message.result);
                break;
            }
            case MESSAGE.close: {
                const error = new ConnectionError(message.error ?? "The server closed the connection.");
                error.final = !message.allowReconnect;
                this.#session?.end(error);
                break;
            }
        }
    }

    #enter(state, detail = {}) {
        this.state = state;
        this.onState(state, detail);
    }

    async #pause(waitMs, error) {
        const { promise, resolve } = Promise.withResolvers();
        this.#wake = resolve;
        this.#enter("waiting", { waitMs, error });
        const timer = setTimeout(resolve, waitMs);
        await promise;
        clearTimeout(timer);
        this.#wake = () => {};
    }
}

/** One connection after negotiation: handshake, records, pings, the watch over the server's silence, the end. */
class Session {
    /** True between handshake and end. */
    ready = false;
    /** Resolves to the reason when the session has ended. */
    ended;

    #transport;
    #url;
    #deliver;
    #channel = null;
    #cancel = () => {};
    #heardAt = Date.now();
    #timers = [];
    #handshake = Promise.withResolvers();
    #finish;

    constructor(transport, url, deliver) {
        this.#transport = transport;
        this.#url = url;
        this.#deliver = deliver;
        const { promise, resolve } = Promise.withResolvers();
        this.ended = promise;
        this.#finish = resolve;
    }

    /** Opens the channel and shakes hands. */
    async open() {
        const tooLate = () => this.end(new ConnectionError("The server did not answer in time."));
        const late = setTimeout(tooLate, CONNECT_LIMIT_MS);
        try {
            const { opened, cancel } = this.#transport(this.#url, {
                received: (text) => {
                    try {
                        this.#received(text);
                    } catch (error) {
                        this.end(new ConnectionError(`The server sent what is no hub message: ${error.message}`));
                    }
                },
                ended: (error) => this.end(error),
            });
            this.#cancel = cancel;
            this.#channel = await opened;
            this.#channel.send(JSON.stringify({ protocol: "json", version: 1 }) + RECORD_END);
            await Promise.race([this.#handshake.promise, this.ended.then((error) => Promise.reject(error))]);
        } finally {
            clearTimeout(late);
        }
        this.#timers = [
            setInterval(() => this.send({ type: MESSAGE.ping }), PING_EVERY_MS),
            setInterval(() => this.#watchSilence(), 1_000),
        ];
    }

    send(message) {
        this.#channel.send(JSON.stringify(message) + RECORD_END);
    }

    /** Ends the session once; later calls change nothing. */
    end(error) {
        this.ready = false;
        this.#timers.forEach(clearInterval);
        this.#cancel();
        this.#finish(error);
    }

    #received(text) {
        this.#heardAt = Date.now();
        for (const record of text.split(RECORD_END)) {
            if (record === "") continue;
            const message = JSON.parse(record);
            if (this.ready) {
                this.#deliver(message);
            } else if (message.error) {
                this.end(new ConnectionError(message.error));
            } else {
                this.ready = true;
                this.#handshake.resolve();
            }
        }
    }

    #watchSilence() {
        if (Date.now() - this.#heardAt > SERVER_SILENCE_LIMIT_MS) {
            this.end(new ConnectionError("The server has been silent for 30 seconds."));
        }
    }
}
