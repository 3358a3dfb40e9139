//! Sends by the crate a2 until standard input ends.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{read_to_string, File};
use std::rc::Rc;

use a2::request::notification::{NotificationOptions, Priority};
use a2::request::payload::PayloadLike;
use a2::{Client, ClientConfig, PushType};
use tokio::io::AsyncReadExt;
use tokio::task::{spawn_local, LocalSet};

#[derive(serde::Serialize, Debug)]
struct Raw<'a> {
    #[serde(skip)]
    text: &'a str,
    #[serde(skip)]
    device: &'a str,
    #[serde(skip)]
    options: NotificationOptions<'a>,
}

impl PayloadLike for Raw<'_> {
    fn to_json_string(&self) -> Result<String, a2::Error> {
        Ok(self.text.to_owned())
    }
    fn get_device_token(&self) -> &str {
        self.device
    }
    fn get_options(&self) -> &NotificationOptions<'_> {
        &self.options
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flags: HashMap<&str, String> = arguments
        .chunks_exact(2)
        .map(|pair| (pair[0].trim_start_matches('-'), pair[1].clone()))
        .collect();
    // Read by the copy of the crate.
    std::env::set_var("APNS_HOST", format!("localhost:{}", flags["port"]));
    std::env::set_var("APNS_CA", &flags["ca"]);
    let mut key = File::open(&flags["key"])?;
    let client = Client::token(&mut key, &flags["key-id"], &flags["team-id"], ClientConfig::default())?;
    let payload: &'static str = read_to_string(&flags["payload"])?.leak();
    let topic: &'static str = flags["topic"].clone().leak();
    let in_flight: usize = flags["in-flight"].parse()?;

    let stopping = Rc::new(Cell::new(false));
    let total = Rc::new(Cell::new(0u64));
    let next = Rc::new(Cell::new(0u64));
    LocalSet::new()
        .run_until(async {
            let mut workers = Vec::new();
            for _ in 0..in_flight {
                let (stopping, total, next) = (stopping.clone(), total.clone(), next.clone());
                let client = client.clone();
                workers.push(spawn_local(async move {
                    while !stopping.get() {
                        next.set(next.get() + 1);
                        let device = format!("{:064x}", next.get() % 997);
                        let id = uuid::Uuid::new_v4().to_string();
                        let raw = Raw {
                            text: payload,
                            device: &device,
                            options: NotificationOptions {
                                apns_id: Some(&id),
                                apns_topic: Some(topic),
                                apns_push_type: Some(PushType::Alert),
                                apns_priority: Some(Priority::High),
                                apns_expiration: Some(0),
                                ..Default::default()
                            },
                        };
                        client.send(raw).await.expect("a request failed");
                        total.set(total.get() + 1);
                    }
                }));
            }
            let mut rest = Vec::new();
            tokio::io::stdin().read_to_end(&mut rest).await?;
            stopping.set(true);
            for worker in workers {
                worker.await?;
            }
            Ok::<(), Box<dyn std::error::Error>>(())
        })
        .await?;
    println!("{{\"total\": {}}}", total.get());
    Ok(())
}
