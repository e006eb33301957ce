package bench;

import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Confluent Parallel Consumer, exactly once, in the order of keys, a thread for each call: its Vert.x and Reactor
 * modules refuse the transactional mode. A commit every 5 s, its default, was the fastest in single trials on a busy
 * machine.
 *
 * <p>Arguments: input topic, output topic, bootstrap, in flight, mean call in ms, sigma (0: constant).
 */
public final class Peer {
    public static void main(String[] arguments) {
        String input = arguments[0], output = arguments[1], bootstrap = arguments[2];
        int inFlight = Integer.parseInt(arguments[3]);
        double meanMs = Double.parseDouble(arguments[4]), sigma = Double.parseDouble(arguments[5]);
        var consumer = new KafkaConsumer<>(
                Map.<String, Object>of(
                        "bootstrap.servers", bootstrap, "group.id", "peer-" + output, "auto.offset.reset", "earliest",
                        "enable.auto.commit", false, "isolation.level", "read_committed"),
                new ByteArrayDeserializer(), new ByteArrayDeserializer());
        var producer = new KafkaProducer<>(
                Map.<String, Object>of(
                        "bootstrap.servers", bootstrap, "transactional.id", "peer-" + output, "acks", "all",
                        "linger.ms", 5, "batch.size", 262144),
                new ByteArraySerializer(), new ByteArraySerializer());
        var options = ParallelConsumerOptions.<byte[], byte[]>builder()
                .ordering(ProcessingOrder.KEY)
                .commitMode(CommitMode.PERIODIC_TRANSACTIONAL_PRODUCER)
                .allowEagerProcessingDuringTransactionCommit(true)
                .maxConcurrency(inFlight)
                .consumer(consumer)
                .producer(producer)
                .build();
        ParallelStreamProcessor<byte[], byte[]> processor = ParallelStreamProcessor.createEosStreamProcessor(options);
        processor.subscribe(List.of(input));
        Runtime.getRuntime().addShutdownHook(new Thread(processor::close));
        processor.pollAndProduce(context -> {
            call(meanMs, sigma);
            var record = context.getSingleConsumerRecord();
            return new ProducerRecord<>(output, record.partition(), record.key(), record.value());
        });
    }

    private static void call(double meanMs, double sigma) {
        double ms = sigma == 0
                ? meanMs
                : meanMs * Math.exp(sigma * ThreadLocalRandom.current().nextGaussian() - sigma * sigma / 2);
        try {
            Thread.sleep((long) ms, (int) ((ms - (long) ms) * 1_000_000));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
