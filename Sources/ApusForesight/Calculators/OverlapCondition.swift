/// Whether a communication can hide behind the computation that runs beside it: time of one over time of the
/// other, 1 or less where it can (domain reference B14).
///
/// The reference counts one byte an element throughout; here the element type is a factor. `busBandwidth` follows
/// NCCL's definition: what a ring's busiest link carries, so that an all-reduce of K bytes over n ranks takes
/// 2 (n - 1) / n K / bandwidth.
package struct OverlapCondition: Hashable, Sendable {
  /// FLOP/s that the products reach.
  package var flopsPerSecond: Double
  /// Bytes a second.
  package var busBandwidth: Double
  /// Of what is sent: 1 reproduces the reference's numbers, 2 is bf16.
  package var bytesPerElement: Double

  package init(flopsPerSecond: Double, busBandwidth: Double, bytesPerElement: Double = 2) {
    self.flopsPerSecond = flopsPerSecond
    self.busBandwidth = busBandwidth
    self.bytesPerElement = bytesPerElement
  }

  private var flopsPerElement: Double { bytesPerElement * flopsPerSecond / busBandwidth }

  private func others(_ degree: Int) -> Double { Double(degree - 1) / Double(degree) }

  /// All-reduce of all gradients behind backward: 2 (d - 1) / d N bytes against 4 tokens N FLOPs, so
  /// 1 / (2 tokens) (d - 1) / d flops / bandwidth.
  ///
  /// The reference prints N / (2 tokens) ...; N stands in both and cancels (erratum 3).
  ///
  /// - Parameter tokens: of one rank between two synchronisations, so of all micro-batches of a step.
  package func dataParallel(degree: Int, tokens: Int) -> Double {
    others(degree) * flopsPerElement / (2 * Double(tokens))
  }

  /// Time that the all-reduce of one bucket takes, seconds; 25 MB is the usual size (erratum 15).
  package func bucketSeconds(bytes: Double = 25e6, degree: Int) -> Double {
    2 * others(degree) * bytes / busBandwidth
  }

  /// Gathering the next block behind the forward pass of this one: 16 h² (d - 1) / d against 32 tokens h², so
  /// 1 / (2 tokens) (d - 1) / d flops / bandwidth.
  package func zero3(degree: Int, tokens: Int) -> Double { dataParallel(degree: degree, tokens: tokens) }

  /// Tensor parallelism: (t - 1) / (2 h) flops / bandwidth; neither sequence nor batch matters.
  package func tensorParallel(degree: Int, hiddenSize: Int) -> Double {
    Double(degree - 1) / (2 * Double(hiddenSize)) * flopsPerElement
  }

  /// Sending a hidden state behind the layers of the next stage: flops / (32 h layers bandwidth).
  package func pipelineParallel(hiddenSize: Int, layersOfNextStage: Int) -> Double {
    flopsPerElement / (32 * Double(hiddenSize) * Double(layersOfNextStage))
  }

  /// Tokens a rank must process between two synchronisations so that data parallelism or ZeRO-3 can hide.
  package func tokensToHide(degree: Int) -> Int {
    max(1, Int((others(degree) * flopsPerElement / 2).rounded(.up)))
  }

  /// The largest tensor-parallel degree that can hide.
  package func largestTensorDegree(hiddenSize: Int) -> Int {
    1 + Int((2 * Double(hiddenSize) / flopsPerElement).rounded(.down))
  }
}
