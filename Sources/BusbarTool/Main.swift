import ArgumentParser
import Configuration
import ServiceLifecycle
import Crypto
import NIOPosix
import Metrics
@main struct B: ParsableCommand {}
