package dev.torpor.e2e.bench;

import java.util.List;

/**
 * One row of the results: the median of one way of doing a thing, and its ratio to another way measured in turn with it.
 *
 * @param name what was measured, such as agent, qemu-alone, fio
 * @param direction save, restore or resume
 * @param engine engine, or none
 * @param channels number of channels or jobs
 * @param value median
 * @param unit unit of the value
 * @param against name of the row that the ratio refers to
 * @param ratio value divided by that row's value
 * @param runs every single figure, in the order in which they were taken
 */
public record Measurement(
        String name,
        String direction,
        String engine,
        int channels,
        double value,
        String unit,
        String against,
        double ratio,
        List<Double> runs) {
    /** Returns the median of some figures. */
    static double median(List<Double> figures) {
        List<Double> sorted = figures.stream().sorted().toList();
        int n = sorted.size();
        return n % 2 == 1 ? sorted.get(n / 2) : (sorted.get(n / 2 - 1) + sorted.get(n / 2)) / 2;
    }
}
