import ArgumentParser
import Configuration
import ServiceLifecycle
import Crypto
import NIOHTTP1
import NIOPosix
import Metrics
@main struct B: ParsableCommand {}
