//! The promises of `db` about what goes into a statement and what comes out of it.

use super::*;

#[test]
fn values_come_back_as_they_went_in() {
    let store = store(Options::default());
    let values: Vec<[Value; 3]> = vec![
        ["".into(), i64::MIN.into(), [0_u8; 0].into()],
        ["12".into(), i64::MAX.into(), Value::from(b"34")],
        ["a\0b é 𝄞".into(), None::<i64>.into(), vec![0, 255].into()],
        [String::from("x").into(), true.into(), None::<Vec<u8>>.into()],
        ["y".into(), 7_u32.into(), (&[1_u8, 2][..]).into()],
    ];
    for row in values.clone() {
        let stored = store.db.write_blocking("test", move |tx| {
            tx.query_opt(
                "INSERT INTO item (id, number, body) VALUES ($1, $2, $3) RETURNING id, number, body",
                &row,
            )
        });
        let read = store.db.read_blocking("test", {
            let id = stored.clone().unwrap().unwrap().0[0].clone();
            move |tx| {
                tx.query_opt(
                    "SELECT id, number, body FROM item WHERE id = $1",
                    std::slice::from_ref(&id),
                )
            }
        });
        assert_eq!(stored, read);
    }
    let all = store
        .db
        .read_blocking("test", |tx| {
            tx.query("SELECT id, number, body FROM item ORDER BY rowid", &[])
        })
        .unwrap();
    assert_eq!(
        all,
        values
            .into_iter()
            .map(|row| Row(row.to_vec()))
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_column_is_never_converted() {
    let row = Row(vec![
        Value::Int(1),
        Value::Text("1".to_owned()),
        Value::Bytes(vec![1]),
        Value::Null,
    ]);
    assert_eq!(
        (row.int(0), row.text(1), row.bytes(2)),
        (Ok(1), Ok("1"), Ok(&[1][..]))
    );
    assert_eq!(
        (row.opt_int(3), row.opt_text(3), row.opt_bytes(3)),
        (Ok(None), Ok(None), Ok(None))
    );
    assert!(row.int(1).is_err() && row.int(2).is_err() && row.int(3).is_err() && row.int(4).is_err());
    assert!(row.text(0).is_err() && row.text(2).is_err() && row.text(3).is_err());
    assert!(row.bytes(0).is_err() && row.bytes(1).is_err() && row.bytes(3).is_err());
    assert_eq!(
        row.opt_text(0),
        Err(DbError::Column {
            index: 0,
            expected: "text or NULL",
            found: "an integer"
        })
    );
    assert!(row.opt_int(9).is_err(), "a missing column is not NULL");
    assert_eq!(
        format!("{:?}", Value::from("secret")),
        "text of 6 bytes",
        "values stay out of logs"
    );
}

#[test]
fn failures_of_a_statement_are_named() {
    let store = store(Options::default());
    let run = |sql: &'static str, values: Vec<Value>| {
        store
            .db
            .write_blocking("test", move |tx| tx.execute(sql, &values))
    };
    let sql = "INSERT INTO item (id, number) VALUES ($1, $2)";
    assert_eq!(run(sql, vec!["a".into(), 1_i64.into()]), Ok(1));
    let conflict = |constraint: &str| {
        Err(DbError::Conflict {
            constraint: constraint.to_owned(),
        })
    };
    assert_eq!(run(sql, vec!["a".into(), 2_i64.into()]), conflict("item.id"));
    assert_eq!(run(sql, vec!["b".into(), 1_i64.into()]), conflict("item.number"));
    assert_eq!(
        run(sql, vec!["b".into(), 13_i64.into()]).unwrap_err().code(),
        "store.constraint"
    );
    for (sql, values) in [
        (
            "INSERT INTO item (number, id) VALUES ($2, $1)",
            vec!["a".into(), 5_i64.into()],
        ),
        ("INSERT INTO item (id) VALUES ($1)", vec![]),
        ("INSERT INTO item (id) VALUES ($1)", vec!["c".into(), "d".into()]),
        ("INSERT INTO item (id) VALUES ($1) RETURNING id", vec!["e".into()]),
        ("SELEKT", vec![]),
        ("COMMIT", vec![]),
        ("ROLLBACK", vec![]),
        ("RELEASE task", vec![]),
        ("PRAGMA writable_schema = ON", vec![]),
    ] {
        let outcome = run(sql, values);
        assert!(
            matches!(outcome, Err(DbError::Statement { .. })),
            "{sql}: {outcome:?}"
        );
    }
    assert_eq!(
        run(
            "UPDATE item SET number = $1 WHERE id = $2 AND number <> $1",
            vec![3_i64.into(), "a".into()]
        ),
        Ok(1)
    );
    store.db.write_blocking("test", |tx| insert(tx, "b")).unwrap();
    let two = store
        .db
        .read_blocking("test", |tx| tx.query_opt("SELECT id FROM item", &[]));
    assert!(matches!(two, Err(DbError::Statement { .. })), "{two:?}");
    assert_eq!(ids(&store.db), ["a", "b"]);
}
