import ApusCore
import ApusForesight
import Testing

@Suite struct MemoryMilestonesTests {
  private func mebibytes(_ count: Int) -> ByteCount { ByteCount(count << 20) }

  /// Domain reference C2: all six numbers of the figure follow from the weights and the activations.
  @Test func predictMemoryFigure() {
    let figure = MemoryMilestones(bfloat16Weights: mebibytes(12746), activations: mebibytes(11412))
    #expect(figure.modelReady == mebibytes(12746))
    #expect(figure.gradientsReady == mebibytes(63730))
    #expect(figure.firstPassPeak == mebibytes(75142))
    #expect(figure.optimizerStep == mebibytes(114_714))
    #expect(figure.laterPassPeak == mebibytes(126_126))
    #expect(figure.peak == figure.laterPassPeak)
  }

  /// S8 on the figure's numbers: a device between the two peaks fits step 1 and fails from step 2; one that is
  /// smaller than the first update already fails there.
  @Test func fitsStepOneFailsFromStepTwo() {
    let figure = MemoryMilestones(bfloat16Weights: mebibytes(12746), activations: mebibytes(11412))
    func verdict(_ capacity: Int) -> MemoryMilestones.Verdict {
      figure.verdict(capacity: mebibytes(capacity))
    }
    #expect(verdict(126_126) == .fits)
    #expect(verdict(126_125) == .failsFromSecondStep(missing: mebibytes(1)))
    #expect(verdict(114_714) == .failsFromSecondStep(missing: mebibytes(11412)))
    #expect(verdict(114_713) == .failsAtFirstUpdate(missing: mebibytes(11413)))
    #expect(verdict(75_142) == .failsAtFirstUpdate(missing: mebibytes(50_984)))
    #expect(verdict(75_141) == .failsAtFirstPass(missing: mebibytes(50_985)))
  }

  /// Domain reference S8 and 4.1: later peaks of Llama 1B in fp32 are higher by Adam's moments, 9.208 GiB;
  /// the figure reads 59.49 against 50.25.
  @Test func laterPeaksAreHigherByTheMoments() {
    let count = ParameterCount(PublishedModels.llama1B).total
    let milestones = MemoryMilestones(
      weights: ByteCount(4 * count), masterWeights: ByteCount(0), gradients: ByteCount(4 * count),
      moments: ByteCount(8 * count), activations: ByteCount(41 << 30))
    let difference = Double(milestones.laterPassPeak.bytes - milestones.firstPassPeak.bytes) / gibibyte
    #expect(rounds(difference, to: "9.208"))
    #expect(abs(difference - (59.49 - 50.25)) < 0.04)
    #expect(rounds(Double(milestones.weights.bytes) / gibibyte, to: "4.604"))
  }

  /// A device between the two peaks passes step 1 and fails at step 2.
  @Test func verdicts() {
    let run = MemoryMilestones(bfloat16Weights: mebibytes(100), activations: mebibytes(700))
    #expect(run.firstPassPeak == mebibytes(1200) && run.peak == mebibytes(1600))
    #expect(run.verdict(capacity: mebibytes(1600)) == .fits)
    #expect(run.verdict(capacity: mebibytes(1599)) == .failsFromSecondStep(missing: mebibytes(1)))
    #expect(run.verdict(capacity: mebibytes(1200)) == .failsFromSecondStep(missing: mebibytes(400)))
    #expect(run.verdict(capacity: mebibytes(1199)) == .failsAtFirstPass(missing: mebibytes(401)))
  }
}
