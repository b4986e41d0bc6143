import ApusCore
import ApusReport
import ApusRuntime

/// The ladders of `apus bench kernels`: each rung with its bytes and its speed over the one below.
enum LadderText {
  static func table(_ ladders: [FusionBenchmark.Ladder], _ machine: MachineMeasurement) -> TextTable {
    var table = TextTable([
      .text("ladder"), .text("shape"), .text("type"), .text("rung"), .number("ms"), .number("bytes moved"),
      .number("rate"), .number("of bound"), .number("over the one below"),
    ])
    for ladder in ladders {
      for (index, rung) in ladder.rungs.enumerated() {
        let isMatrix = ladder.flops > 0
        let rate = Double(isMatrix ? ladder.flops : rung.bytes) / rung.seconds
        let limit = isMatrix ? machine.peakFLOPsPerSecond : machine.memoryBytesPerSecond
        table.add([
          index == 0 ? ladder.work : "", index == 0 ? ladder.shape : "", index == 0 ? ladder.type : "",
          rung.name,
          (1e3 * rung.seconds).formatted(decimals: 2), ByteCount(rung.bytes).description,
          "\((rate / 1e9).formatted(decimals: 1)) \(isMatrix ? "GFLOP/s" : "GB/s")",
          "\((100 * rate / limit).formatted(decimals: 0)) %",
          index == 0 ? "" : "\((ladder.rungs[index - 1].seconds / rung.seconds).formatted(decimals: 2))x",
        ])
      }
    }
    return table
  }
}
