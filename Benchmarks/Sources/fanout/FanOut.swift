@main
struct FanOut {
    static func main() {}
}
