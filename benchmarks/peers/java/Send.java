import com.eatthepath.pushy.apns.ApnsClient;
import com.eatthepath.pushy.apns.ApnsClientBuilder;
import com.eatthepath.pushy.apns.DeliveryPriority;
import com.eatthepath.pushy.apns.PushType;
import com.eatthepath.pushy.apns.auth.ApnsSigningKey;
import com.eatthepath.pushy.apns.util.SimpleApnsPushNotification;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import java.io.File;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/** Sends by Pushy over one connection until standard input ends. */
public final class Send {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> flags = new HashMap<>();
    for (int i = 0; i < arguments.length; i += 2) {
      flags.put(arguments[i].substring(2), arguments[i + 1]);
    }
    int inFlight = Integer.parseInt(flags.get("in-flight"));
    String payload = Files.readString(Path.of(flags.get("payload")));
    EventLoopGroup loop = Epoll.isAvailable() ? new EpollEventLoopGroup(1) : new NioEventLoopGroup(1);
    ApnsClient client =
        new ApnsClientBuilder()
            .setApnsServer("localhost", Integer.parseInt(flags.get("port")))
            .setTrustedServerCertificateChain(new File(flags.get("ca")))
            .setSigningKey(
                ApnsSigningKey.loadFromPkcs8File(
                    new File(flags.get("key")), flags.get("team-id"), flags.get("key-id")))
            .setEventLoopGroup(loop)
            .build();
    String[] devices = new String[997];
    for (int i = 0; i < devices.length; i++) {
      devices[i] = String.format("%064x", i);
    }
    Semaphore room = new Semaphore(inFlight);
    AtomicLong total = new AtomicLong();
    AtomicReference<String> fault = new AtomicReference<>();
    Thread sender =
        new Thread(
            () -> {
              try {
                for (int i = 0; !Thread.interrupted() && fault.get() == null; i = (i + 1) % devices.length) {
                  room.acquire();
                  client
                      .sendNotification(
                          new SimpleApnsPushNotification(
                              devices[i],
                              flags.get("topic"),
                              payload,
                              Instant.EPOCH,
                              DeliveryPriority.IMMEDIATE,
                              PushType.ALERT,
                              null,
                              UUID.randomUUID()))
                      .whenComplete(
                          (answer, error) -> {
                            if (error != null) {
                              fault.compareAndSet(null, error.toString());
                            } else if (!answer.isAccepted()) {
                              fault.compareAndSet(null, answer.toString());
                            } else {
                              total.incrementAndGet();
                            }
                            room.release();
                          });
                }
              } catch (InterruptedException stopped) {
                // Told to stop.
              }
            });
    sender.start();
    try (InputStream in = System.in) {
      in.transferTo(OutputStream.nullOutputStream());
    }
    sender.interrupt();
    sender.join();
    room.acquire(inFlight);
    if (fault.get() != null) {
      System.err.println(fault.get());
      System.exit(1);
    }
    System.out.println("{\"total\": " + total.get() + "}");
    System.exit(0);
  }
}
